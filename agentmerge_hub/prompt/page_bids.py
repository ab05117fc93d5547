"""Bids: the element identifiers that a page shows, which are what an action can name."""

import re

from agentmerge_hub.prompt.layout import Prompt


def tree_bids(axtree: str) -> set[str]:
    """Bids at the beginning of a line of an AXTree, as ``[bid]``."""
    return set(re.findall(r"^[ \t]*\[([a-zA-Z0-9]+)\] ", axtree, re.MULTILINE))


def html_bids(html: str) -> set[str]:
    """Bids that are an attribute ``bid="…"`` in BrowserGym's pruned HTML."""
    return set(re.findall(r'\bbid="([a-zA-Z0-9]+)"', html))


def page_bids(prompt: Prompt) -> set[str]:
    """Bids of the page that a prompt still shows; history, focused element and examples do not count."""
    return tree_bids(prompt.block("axtree")) | html_bids(prompt.block("html"))
