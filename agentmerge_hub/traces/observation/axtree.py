"""Print an accessibility tree as BrowserGym prints it: one line an element, indented by tabs, with its bid and properties.

The rule is that of browsergym.utils.obs.flatten_axtree_to_str with the arguments that AgentLab gives it for its flags (a test
compares both). Elements that Chromium added later and that BrowserGym does not know (InlineTextBox) are left out, as our agents
leave them out.
"""

from collections.abc import Mapping
from typing import Any

from agentmerge_hub.prompt import PageFlags

IGNORED_ROLES = frozenset({"LineBreak", "InlineTextBox"})
IGNORED_PROPERTIES = frozenset({"editable", "readonly", "level", "settable", "multiline", "invalid", "focusable"})

MAX_CHARACTERS = 64 * 2**20


class TreeError(ValueError):
    """A tree that cannot be printed; the message is the second half of a sentence."""


def flatten_axtree(tree: Any, properties: Any, flags: PageFlags) -> str:
    """The tree as text, with all tags.

    Args:
        tree: BrowserGym's ``axtree_object``: ``{"nodes": [...]}``, the root first.
        properties: ``extra_element_properties`` by bid; what has none is neither tagged, placed nor left out for them.
        flags: which elements are left out, and in which form the others' places are printed.

    Raises:
        TreeError: if it is no tree or too large.
    """
    nodes = tree.get("nodes") if isinstance(tree, Mapping) else None
    if not isinstance(nodes, list) or not all(isinstance(node, Mapping) for node in nodes):
        raise TreeError("has an accessibility tree without nodes")
    if not nodes:
        return ""
    place_of = {node["nodeId"]: place for place, node in enumerate(nodes) if isinstance(node.get("nodeId"), str)}
    properties = properties if isinstance(properties, Mapping) else {}
    lines: list[str] = []
    printed: set[int] = set()
    size = 0
    stack = [(0, 0, "", False)]  # place of the node, depth, name of its parent, whether that was left out
    while stack:
        place, depth, parent, parent_left_out = stack.pop()
        if place in printed:  # a node with two parents, or a cycle
            continue
        printed.add(place)
        node = nodes[place]
        line, name, left_out = _line(node, parent, parent_left_out, properties, flags)
        if line is not None:
            size += depth + len(line)
            if size > MAX_CHARACTERS:
                raise TreeError("has an accessibility tree that is too large")
            lines.append("\t" * depth + line)
            depth += 1
        kids = node.get("childIds")
        for kid in reversed(kids if isinstance(kids, list) else []):
            if isinstance(kid, str) and kid in place_of:
                stack.append((place_of[kid], depth, name, left_out))
    return "\n".join(lines)


def _line(
    node: Mapping[str, Any], parent: str, parent_left_out: bool, properties: Mapping[str, Any], flags: PageFlags
) -> tuple[str | None, str, bool]:
    """The line of a node without its indent, None if it is not printed; its name; and whether the flags leave it out."""
    role = _value(node.get("role"))
    name = _value(node.get("name"))
    if role in IGNORED_ROLES or not isinstance(role, str) or not isinstance(name, str):
        return None, "", False
    bid = node.get("browsergym_id")
    bid = bid if isinstance(bid, str) else None
    attributes = _attributes(node)
    is_printed = role != "generic" or bool(attributes)
    left_out = False
    if role == "StaticText":
        is_printed = not parent_left_out and name not in parent
    else:
        of_element = properties.get(bid) if bid is not None else None
        left_out = _is_left_out(bid, of_element, flags)
        attributes = _extra_attributes(of_element, flags) + attributes
    if left_out or not is_printed:
        return None, name, left_out
    line = role if role == "generic" and not name else f"{role} {name.strip()!r}"
    if bid is not None:
        line = f"[{bid}] {line}"
    if (value := _value(node.get("value"))) is not None:
        line += f" value={_shown(value)}"
    return ", ".join([line, *attributes]), name, False


def _is_left_out(bid: str | None, properties: Any, flags: PageFlags) -> bool:
    if bid is None:
        return flags.filter_with_bid_only or flags.filter_som_only
    if not isinstance(properties, Mapping):
        return False
    return (flags.filter_visible_elements_only and not _is_visible(properties)) or (
        flags.filter_som_only and not properties.get("set_of_marks")
    )


def _attributes(node: Mapping[str, Any]) -> list[str]:
    found = []
    recorded = node.get("properties")
    for entry in recorded if isinstance(recorded, list) else []:
        name = entry.get("name") if isinstance(entry, Mapping) else None
        held = entry.get("value") if isinstance(entry, Mapping) else None
        if (
            not isinstance(name, str)
            or name in IGNORED_PROPERTIES
            or not isinstance(held, Mapping)
            or "value" not in held
        ):
            continue
        if name in ("required", "focused", "atomic"):
            if held["value"]:
                found.append(name)
        else:
            found.append(f"{name}={_shown(held['value'])}")
    return found


def _extra_attributes(properties: Any, flags: PageFlags) -> list[str]:
    """Place and tags of an element."""
    if not isinstance(properties, Mapping):
        return []
    tags = ["clickable"] if properties.get("clickable") else []
    return [*_place(properties.get("bbox"), flags), *tags, *(["visible"] if _is_visible(properties) else [])]


def _is_visible(properties: Mapping[str, Any]) -> bool:
    visibility = properties.get("visibility")
    return isinstance(visibility, int | float) and visibility >= 0.5


def _place(bbox: Any, flags: PageFlags) -> list[str]:
    """The place of an element, from its left and top edge, width and height in pixels."""
    if not isinstance(bbox, list | tuple) or len(bbox) != 4 or not all(isinstance(n, int | float) for n in bbox):
        return []
    x, y, width, height = bbox
    try:
        places = {"center": (x + width / 2, y + height / 2), "box": (x, y, x + width, y + height)}
        numbers = ",".join(f"{number:.0f}" for number in places.get(flags.extract_coords, ()))
    except OverflowError:
        raise TreeError("has an element with coordinates of too many digits") from None
    return [f'{flags.extract_coords}="({numbers})"'] if numbers else []


def _value(held: Any) -> Any:
    return held.get("value") if isinstance(held, Mapping) else None


def _shown(value: Any) -> str:
    """A value as Python prints it. Chromium's are texts, numbers and booleans."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise TreeError("has an accessibility tree with a number of more than 64 bits")
    return repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
