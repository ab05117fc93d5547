"""Print an accessibility tree as BrowserGym prints it: one line an element, indented by tabs, with its bid and properties.

The rule is that of browsergym.utils.obs.flatten_axtree_to_str with its default arguments (a test compares both). Elements
that Chromium added later and that BrowserGym does not know (InlineTextBox) are left out, as our agents leave them out.
"""

from collections.abc import Mapping
from typing import Any

IGNORED_ROLES = frozenset({"LineBreak", "InlineTextBox"})
IGNORED_PROPERTIES = frozenset({"editable", "readonly", "level", "settable", "multiline", "invalid", "focusable"})

MAX_CHARACTERS = 64 * 2**20


class TreeError(ValueError):
    """A tree that cannot be printed; the message is the second half of a sentence."""


def flatten_axtree(tree: Any, properties: Any) -> str:
    """The tree as text.

    Args:
        tree: BrowserGym's ``axtree_object``: ``{"nodes": [...]}``, the root first.
        properties: ``extra_element_properties`` by bid; without it no element is tagged visible or clickable.

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
    stack = [(0, 0, "")]  # place of the node, depth, name of its parent
    while stack:
        place, depth, parent = stack.pop()
        if place in printed:  # a node with two parents, or a cycle
            continue
        printed.add(place)
        node = nodes[place]
        line, name = _line(node, parent, properties)
        if line is not None:
            size += depth + len(line)
            if size > MAX_CHARACTERS:
                raise TreeError("has an accessibility tree that is too large")
            lines.append("\t" * depth + line)
            depth += 1
        kids = node.get("childIds")
        for kid in reversed(kids if isinstance(kids, list) else []):
            if isinstance(kid, str) and kid in place_of:
                stack.append((place_of[kid], depth, name))
    return "\n".join(lines)


def _line(node: Mapping[str, Any], parent: str, properties: Mapping[str, Any]) -> tuple[str | None, str]:
    """The line of a node without its indent, None if it is not printed, and its name."""
    role = _value(node.get("role"))
    name = _value(node.get("name"))
    if role in IGNORED_ROLES or not isinstance(role, str) or not isinstance(name, str):
        return None, ""
    attributes = _attributes(node)
    if role == "generic" and not attributes:
        return None, name
    if role == "StaticText":
        if name in parent:
            return None, name
    else:
        attributes = (
            _tags(properties.get(bid) if isinstance(bid := node.get("browsergym_id"), str) else None) + attributes
        )
    line = role if role == "generic" and not name else f"{role} {name.strip()!r}"
    if isinstance(bid := node.get("browsergym_id"), str):
        line = f"[{bid}] {line}"
    if (value := _value(node.get("value"))) is not None:
        line += f" value={_shown(value)}"
    return ", ".join([line, *attributes]), name


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


def _tags(properties: Any) -> list[str]:
    if not isinstance(properties, Mapping):
        return []
    visibility = properties.get("visibility")
    tags = ["clickable"] if properties.get("clickable") else []
    return [*tags, "visible"] if isinstance(visibility, int | float) and visibility >= 0.5 else tags


def _value(held: Any) -> Any:
    return held.get("value") if isinstance(held, Mapping) else None


def _shown(value: Any) -> str:
    """A value as Python prints it. Chromium's are texts, numbers and booleans."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise TreeError("has an accessibility tree with a number of more than 64 bits")
    return repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
