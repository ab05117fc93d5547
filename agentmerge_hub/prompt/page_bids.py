"""Bids: the element identifiers that a page shows, which are what an action can name."""

import re
from functools import lru_cache

from agentmerge_hub.prompt.layout import Prompt


def tree_bids(axtree: str) -> set[str]:
    """Bids at the beginning of a line of an AXTree, as ``[bid]``. Lines within a quoted text, which a user typed, have none."""
    bids: set[str] = set()
    lines = axtree.split("\n")
    skip_to = 0
    never_closed: set[str] = set()
    for place, line in enumerate(lines):
        if place < skip_to:
            continue
        bid, quote = _line_bid(line) if len(line) <= _MAX_CACHED else _line_bid.__wrapped__(line)
        if bid:
            bids.add(bid)
        if quote and quote not in never_closed:
            closing = _CLOSING[quote]
            end = next((n for n in range(place + 1, len(lines)) if closing.search(lines[n])), None)
            if end is None:
                never_closed.add(quote)
            else:
                skip_to = end + 1
    return bids


@lru_cache(maxsize=20_000)
def _line_bid(line: str) -> tuple[str, str]:
    """The bid that a line of a tree begins with, and the quotation mark of a text that goes on in the next line; empty if there is
    none. Pages share most lines, hence the cache."""
    if whole := _WHOLE_LINE.fullmatch(line):
        return whole[1] or "", ""
    quote, is_end = _open_quote(line)
    found = None if is_end else _TREE_BID.match(line)
    return found[1] if found else "", quote


_MAX_CACHED = 1000
"""Characters of the longest line that is kept."""
_CLOSING = {quote: re.compile(rf"(?:^|[^\\]){quote}(?:$|, | value=)") for quote in "'\""}
_TREE_BID = re.compile(r"[ \t]*\[([a-zA-Z0-9]+)\] ")
_TEXT = r"""(?:'[^'\\\n]*(?:\\.[^'\\\n]*)*'|"[^"\\\n]*(?:\\.[^"\\\n]*)*")"""
_WHOLE_LINE = re.compile(
    rf"[ \t]*(?:\[([a-zA-Z0-9]+)\] )?\w+(?: ?{_TEXT})?(?: value=(?:{_TEXT}|[\w.+-]+))?"
    rf"(?:, [\w-]+(?:={_TEXT}|=[^'\"\\,\n]*)?)*"
)
"""A line as BrowserGym prints it, every text of which ends on it: nearly all lines."""
_QUOTED = re.compile(
    r"""(?: |=)(?:'(?:[^'\\]|\\.|'(?!$|,| value=|\s))*(')?|"(?:[^"\\]|\\.|"(?!$|,| value=|\s))*(")?)"""
)


def _open_quote(line: str) -> tuple[str, bool]:
    """The quotation mark of a text that begins on a line of a tree and does not end there, empty if there is none; and whether
    the line ends with the mark of a text that does not begin there."""
    at = 0
    while found := _QUOTED.search(line, at):
        if not (found[1] or found[2]):
            return found[0][1], False
        at = found.end()
    return "", line[at:].endswith(("'", '"'))


def html_bids(html: str) -> set[str]:
    """Bids that are an attribute ``bid="…"`` of a tag of BrowserGym's pruned HTML; text, comments, scripts and other attributes
    do not count. What is in a text area is text, also where it looks like a tag."""
    for begin, end in (("<!--", "-->"), ("<script", "</script"), ("<style", "</style")):
        html = _without(html, begin, end)
    for name in ("textarea", "title", "noscript"):
        html = _without(html, f"<{name}", f"</{name}", after=">")
    return {
        attribute[2]
        for tag in _TAG.finditer(html)
        for attribute in _ATTRIBUTE.finditer(tag[1])
        if attribute[1] == "bid" and (attribute[2] or "").isalnum()
    }


def _without(text: str, begin: str, end: str, after: str = "") -> str:
    """The text without what is between two texts.

    Args:
        after: the end of what is kept from the first of them on, e.g. of a tag.
    """
    parts, at = [], 0
    while (start := text.find(begin, at)) >= 0:
        if after and (start := text.find(after, start)) < 0:
            parts.append(text[at:])
            break
        parts.append(text[at:start] + after)
        at = text.find(end, start + len(after or begin))
        if at < 0:
            break
    else:
        parts.append(text[at:])
    return "".join(parts)


_TAG = re.compile(r"""<[a-zA-Z][^\s<>/]*((?:[^"'<>]+|"[^"]*"|'[^']*')*)""")
_ATTRIBUTE = re.compile(r"""([^\s=<>"'/]+)(?:=(?:"([^"]*)"|'[^']*'|[^\s"'<>]+)?)?""")


def page_bids(prompt: Prompt) -> set[str]:
    """Bids of the page that a prompt still shows; history, focused element and examples do not count."""
    return tree_bids(prompt.block("axtree")) | html_bids(prompt.block("html"))
