"""Versions of releases: which files a tag pins, and which tag the next release gets. A tag is created once.

``vMAJOR.MINOR.PATCH``: MAJOR is the schema's. MINOR counts the data of a dataset, or the weights of a model and the
configuration that shapes their forward pass. PATCH counts releases with the same data or weights and other files that change
what a user gets: tokenizer, chat template, generation settings, GGUF files, ledger, session traces. Documents (cards,
licenses, the merge spec, scores) can be corrected on the main branch without a new release.
"""

import re
from collections.abc import Collection, Mapping

_TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_DOCUMENTS = re.compile(
    r"README\.md|manifest\.json|withdrawn\.json|croissant\.json|mergekit_config\.yml|\.gitattributes|(?:LICENSE|NOTICE)[^/]*"
    r"|[^/]+\.png|\.eval_results/.*"
)
_CORE = re.compile(r"data/.*|(?:adapter_)?config\.json|[^/]+\.safetensors(?:\.index\.json)?")


def content_of(files: Mapping[str, str]) -> dict[str, str]:
    """The files that a release pins: all but documents.

    Args:
        files: path → identity or hash.
    """
    return {name: identity for name, identity in files.items() if not _DOCUMENTS.fullmatch(name)}


def core_of(files: Mapping[str, str]) -> dict[str, str]:
    """The files that MINOR counts: data, or weights and the configuration of their forward pass."""
    return {name: identity for name, identity in files.items() if _CORE.fullmatch(name)}


def newest_tag(tags: Collection[str], major: int) -> str | None:
    """The newest release tag of a schema version."""
    newest = max(_numbers(tags, major), default=None)
    return f"v{major}.{newest[0]}.{newest[1]}" if newest else None


def next_tag(used: Collection[str], major: int, same_core_as: str | None = None) -> str:
    """The tag of the next release of a schema version, which no release had before.

    Args:
        used: tags of all releases, withdrawn and removed ones included.
        same_core_as: tag of the release with the same data or weights, if there is one.
    """
    numbers = _numbers(used, major)
    if same_core_as:
        minor = _numbers([same_core_as], major)[0][0]
        return f"v{major}.{minor}.{1 + max(patch for other, patch in numbers if other == minor)}"
    return f"v{major}.{1 + max((minor for minor, _ in numbers), default=-1)}.0"


def _numbers(tags: Collection[str], major: int) -> list[tuple[int, int]]:
    """(minor, patch) of the release tags of a schema version."""
    found = [match for tag in tags if (match := _TAG.fullmatch(tag))]
    return [(int(match[2]), int(match[3])) for match in found if int(match[1]) == major]
