"""Checks files before they are published: files → findings, one sentence each. Changes and sends nothing."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.secret_scan import local_secrets, scan
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, texts_of

DATASET_KINDS = (".parquet", ".md", ".json", ".png", ".svg", ".txt", ".yaml", ".yml")
MODEL_KINDS = (".safetensors", ".json", ".md", ".jinja", ".txt", ".yaml", ".yml", ".model", ".png", ".svg")
_PLAIN_NAMES = ("LICENSE", "NOTICE")
_MOST = 20
"""Findings of one kind that are spelled out."""


def check_folder(folder: Path, stages: Collection[str], files: Collection[str] | None = None) -> list[str]:
    """Findings on a folder that one of these stages must have written.

    Args:
        files: names of those that are to be published; all if None.

    Raises:
        UserError: if it is not a finished output of these stages.
    """
    stage_of_folder = manifest.read(folder)["stage"]
    if stage_of_folder not in stages:
        accepted = " or ".join(f"`{stage}`" for stage in stages)
        raise UserError(f"{folder} was written by `{stage_of_folder}`: only output of {accepted} can be published.")
    return [f"{finding}: run the stage again, or restore the file" for finding in manifest.verify(folder, files)]


def check_files(
    files: Mapping[str, Content], kinds: Iterable[str], allowed: Mapping[str, str] | None = None
) -> list[str]:
    """Findings: file types that are not published, secrets and personal data in the others.

    Args:
        kinds: endings of names.
        allowed: what may be published, with the reason that the card gives.
    """
    kinds = tuple(kinds)
    unknown = [name for name in files if not name.lower().endswith(kinds) and not _is_plain(name)]
    findings = [f"{name} has a file type that is not published ({' '.join(kinds)}): remove it" for name in unknown]
    try:
        places = [f"{where} holds {what}" for where, what in scan(texts_of(files), local_secrets(), allowed)]
    except UserError as error:
        return [*findings, str(error)]
    more = len(places) - _MOST
    return [*findings, *places[:_MOST], *([f"{more} more places hold secrets"] if more > 0 else [])]


def _is_plain(name: str) -> bool:
    return name.rsplit("/", 1)[-1].split("-")[0] in _PLAIN_NAMES
