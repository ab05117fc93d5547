"""Versions of releases: which content a tag names, and which tag the next release gets. A tag is created once.

A tag ``vMAJOR.MINOR.0`` names one content: MAJOR is the schema's, MINOR counts the contents published under it. Cards and
licenses are no content: they can be corrected on the main branch without a new release.
"""

import re
from collections.abc import Mapping

_TAG = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_DOCUMENTS = re.compile(
    r"README\.md|manifest\.json|withdrawn\.json|croissant\.json|\.gitattributes|(?:LICENSE|NOTICE)[^/]*|[^/]+\.png|\.eval_results/.*"
)


def content_of(files: Mapping[str, str]) -> dict[str, str]:
    """The files that make the content of a release.

    Args:
        files: path → identity or hash.
    """
    return {name: identity for name, identity in files.items() if not _DOCUMENTS.fullmatch(name)}


def newest_tag(tags: Mapping[str, str], major: int) -> str | None:
    """The newest release tag of a schema version.

    Args:
        tags: tag → commit.
    """
    numbers = [tuple(map(int, found.groups())) for tag in tags if (found := _TAG.fullmatch(tag))]
    newest = max((number for number in numbers if number[0] == major), default=None)
    return f"v{newest[0]}.{newest[1]}.{newest[2]}" if newest else None


def next_tag(tags: Mapping[str, str], major: int) -> str:
    """The tag of the next release of a schema version."""
    newest = newest_tag(tags, major)
    return f"v{major}.{int(newest.split('.')[1]) + 1}.0" if newest else f"v{major}.0.0"
