"""Checks files before they are published: files → findings, one sentence each. Changes and sends nothing."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.file_types import Extractor, texts_of
from agentmerge_hub.publishing.publish_checks.secret_engine import SecretEngine
from agentmerge_hub.publishing.publish_checks.secret_scan import local_secrets, scan
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text

_MAX_FINDINGS = 20
"""Findings of secrets that are spelled out."""


def check_folder(folder: Path, stages: Collection[str], files: Collection[str] | None = None) -> list[str]:
    """Findings on a folder that one of these stages must have written.

    Args:
        files: names of those that are to be published; all if None.

    Raises:
        UserError: if it is not a finished output of these stages.
    """
    accepted = " or ".join(f"`{stage}`" for stage in stages)
    if not folder.exists():
        raise UserError(f"there is no folder {folder}: give the output of {accepted}")
    stage = manifest.read(folder)["stage"]
    if stage not in stages:
        raise UserError(f"{folder} was written by `{stage}`: only output of {accepted} can be published.")
    return [f"{finding}: run the stage again, or restore the file" for finding in manifest.verify(folder, files)]


def check_files(
    files: Mapping[str, Content], types: Mapping[str, Extractor], allowed: Mapping[str, str] | None = None
) -> list[str]:
    """Findings: files that are not published, and secrets and personal data in the others.

    Args:
        types: file_types.DATASET_FILES or file_types.MODEL_FILES.
        allowed: kinds or values that may be published, with the reason that the card gives.

    Raises:
        UserError: if the secret scanner does not run.
    """
    findings: list[str] = []
    with SecretEngine() as engine:

        def texts() -> Iterator[Text]:
            for name, content in files.items():
                try:
                    for text in texts_of(name, content, types):
                        engine.add(text)
                        yield text
                except UserError as error:
                    findings.append(str(error))

        found = dict.fromkeys([*scan(texts(), local_secrets(), allowed), *engine.findings(allowed or {})])
    places = [f"{where} holds {what}" for where, what in found]
    more = len(places) - _MAX_FINDINGS
    return [*findings, *places[:_MAX_FINDINGS], *([f"{more} more places hold secrets"] if more > 0 else [])]
