"""Which flags the texts of a recorded page were printed with, and whether a prompt can show them."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from agentmerge_hub.prompt import Flags, PageFlags
from agentmerge_hub.prompt.tags import has_tag
from agentmerge_hub.records import Observation
from agentmerge_hub.traces.values import as_dict

_HTML_COORDINATES = re.compile(r'<[^<>]* (center|box)="\(-?\d+,[-\d,]+\)"')


def tree_flags(page: Observation, recorded: Mapping[str, Any]) -> PageFlags:
    """The flags of the tree.

    Args:
        recorded: flags of the agent whose observation it is.
    """
    if page.axtree_flags:
        return PageFlags.model_validate_json(page.axtree_flags)
    shown = (form for form in ("center", "box") if has_tag(page.axtree, form))
    return _flags(recorded, next(shown, ""))


def html_flags(page: Observation, recorded: Mapping[str, Any]) -> PageFlags:
    """The flags of the HTML, as `tree_flags`."""
    shown = _HTML_COORDINATES.search(page.html)
    return _flags(recorded, shown[1] if shown else "")


def _flags(recorded: Mapping[str, Any], coordinates: str) -> PageFlags:
    """The recorded flags, which AgentLab keeps under ``obs``; coordinates that a text shows count without them."""
    of_page = {**recorded, **as_dict(recorded.get("obs"))}
    values = {name: of_page.get(name) is True for name in PageFlags.model_fields}
    recorded_coordinates = of_page.get("extract_coords")
    if not coordinates and recorded_coordinates in ("center", "box"):
        coordinates = recorded_coordinates
    return PageFlags.model_validate(values | {"extract_coords": coordinates or "False"})


def printed_otherwise(page: Observation, recorded: Mapping[str, Any], flags: Flags) -> str:
    """The first difference between the flags of a prompt and those of a page's texts that it shows; empty if there is none.

    A prompt without coordinates leaves those of a tree out, so that they are no difference.
    """
    differences: list[str] = []
    if flags.use_ax_tree and page.axtree:
        ignored = {"extract_coords"} if flags.extract_coords == "False" else set()
        differences += _differences("AXTree", tree_flags(page, recorded), flags, ignored)
    if flags.use_html and page.html:
        differences += _differences("HTML", html_flags(page, recorded), flags)
    return differences[0] if differences else ""


def _differences(text: str, printed: PageFlags, flags: Flags, ignored: Collection[str] = ()) -> Iterator[str]:
    for name, value in printed.model_dump().items():
        if name not in ignored and getattr(flags, name) != value:
            yield f"the {text} was saved with {name}={str(value).lower()}"
