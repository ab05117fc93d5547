"""What BrowserGym prints of an element beside the tree's own properties: the tags ``visible`` and ``clickable``, and its place as
``center`` or ``box``."""

import re
from collections.abc import Iterator

_NAME = r"""(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_TAGGED = re.compile(
    rf"^([ \t]*\[\w+\] \w+(?: {_NAME})?(?: value=(?:{_NAME}|[\w.+-]+))?)"
    r"((?:, (?:(?:box|center)=\"\([^\s\"]*\)\"|som|clickable|visible))+)",
    re.MULTILINE,
)
"""A line of the tree with what BrowserGym prints after an element's name and value, before its properties."""


def without_tags(axtree: str, unwanted: set[str]) -> str:
    """The tree without some of its tags and places, as BrowserGym prints it when they are off."""

    def keep(match: re.Match[str]) -> str:
        tags = [tag for tag in match[2].split(", ")[1:] if tag.partition("=")[0] not in unwanted]
        return ", ".join([match[1], *tags])

    return _TAGGED.sub(keep, axtree) if unwanted else axtree


def has_tag(axtree: str, tag: str) -> bool:
    """Whether an element of the tree has the tag, or its place in this form."""
    return f", {tag}" in axtree and any(
        tag in (part.partition("=")[0] for part in match[2].split(", ")) for match in _TAGGED.finditer(axtree)
    )


def tag_variants(axtree: str) -> Iterator[str]:
    """The tree, then the tree as a prompt with fewer tags shows it."""
    yield axtree
    seen = {axtree}
    for unwanted in ({"visible"}, {"clickable"}, {"visible", "clickable"}):
        fewer = without_tags(axtree, unwanted)
        if fewer not in seen:
            seen.add(fewer)
            yield fewer
