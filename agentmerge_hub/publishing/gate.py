"""The door: what is wrong with the files that are to be published, a sentence each. Nothing is changed or sent here."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.scan import own_secrets, scan
from agentmerge_hub.publishing.texts import Content, texts_of

DATASET_KINDS = (".parquet", ".md", ".json", ".png", ".svg", ".txt", ".yaml", ".yml")
MODEL_KINDS = (".safetensors", ".json", ".md", ".jinja", ".txt", ".yaml", ".yml", ".model", ".png", ".svg")
_PLAIN_NAMES = ("LICENSE", "NOTICE")
_MOST = 20
"""Findings of one kind that are spelled out."""


def check_folder(folder: Path, stages: Collection[str], files: Collection[str] | None = None) -> list[str]:
    """Whether the folder is what one of these stages wrote.

    Args:
        files: names of those that are to be published; all if None.

    Raises:
        UserError: if it is no finished output of these stages.
    """
    made_by = manifest.read(folder)["stage"]
    if made_by not in stages:
        made_here = " or ".join(f"`{stage}`" for stage in stages)
        raise UserError(f"{folder} was made by `{made_by}`, and what {made_here} makes is published here.")
    return [
        f"{finding}: make the folder again, or put back what was there" for finding in manifest.verify(folder, files)
    ]


def check_files(
    files: Mapping[str, Content], kinds: Iterable[str], allowed: Mapping[str, str] | None = None
) -> list[str]:
    """Files of kinds that have no place in the repository, and everything secret or personal in the others.

    Args:
        kinds: endings of names.
        allowed: what may be published, with the reason that the card gives.
    """
    kinds = tuple(kinds)
    strange = [name for name in files if not name.lower().endswith(kinds) and not _is_plain(name)]
    findings = [f"{name} is not of a kind that is published ({' '.join(kinds)}): remove it" for name in strange]
    try:
        places = [f"{where} holds {what}" for where, what in scan(texts_of(files), own_secrets(), allowed)]
    except UserError as error:
        return [*findings, str(error)]
    more = len(places) - _MOST
    return [*findings, *places[:_MOST], *([f"{more} more places hold secrets"] if more > 0 else [])]


def _is_plain(name: str) -> bool:
    return name.rsplit("/", 1)[-1].split("-")[0] in _PLAIN_NAMES
