"""The tags ``visible`` and ``clickable`` of an accessibility tree as BrowserGym prints it."""

import re
from collections.abc import Iterator

_NAME = r"""(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_TAGGED = re.compile(
    rf"^([ \t]*\[\w+\] \w+(?: {_NAME})?(?: value=(?:{_NAME}|[\w.+-]+))?(?:, (?:box|center)=\"[^\"\n]*\")*)"
    r"((?:, (?:som|clickable|visible))+)",
    re.MULTILINE,
)
"""A line of the tree with the tags that BrowserGym prints after an element's name, value and coordinates, before its properties."""


def without_tags(axtree: str, unwanted: set[str]) -> str:
    """The tree without some of its tags, as BrowserGym prints it when they are off."""

    def keep(match: re.Match[str]) -> str:
        tags = [tag for tag in match[2].split(", ")[1:] if tag not in unwanted]
        return ", ".join([match[1], *tags])

    return _TAGGED.sub(keep, axtree) if unwanted else axtree


def has_tag(axtree: str, tag: str) -> bool:
    """Whether an element of the tree has the tag."""
    return f", {tag}" in axtree and any(tag in match[2].split(", ") for match in _TAGGED.finditer(axtree))


def tag_variants(axtree: str) -> Iterator[str]:
    """The tree, then the tree as a prompt with fewer tags shows it."""
    yield axtree
    seen = {axtree}
    for unwanted in ({"visible"}, {"clickable"}, {"visible", "clickable"}):
        fewer = without_tags(axtree, unwanted)
        if fewer not in seen:
            seen.add(fewer)
            yield fewer
