"""Values of a spec that a comment at the end of their line names: found and replaced in the text, all else unchanged."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

from agentmerge_hub.errors import UserError

_COMMENT = re.compile(r"[ \t]*#[ \t]*((?:1 - )?[a-z_]+(?:, (?:1 - )?[a-z_]+)*)[ \t]*$", re.MULTILINE)
_ANCHOR = re.compile(r"&[^ \t]+[ \t]+")


@dataclass(frozen=True)
class BoundValue:
    """One value and its position in the text."""

    begin: int
    end: int
    name: str
    complement: bool
    value: Any


def find(text: str, root: yaml.Node | None) -> Iterator[BoundValue]:
    """Every value of a YAML text that a comment at the end of its line names.

    Args:
        root: the text's node, as `safe_yaml.compose` gives it.
    """
    # An alias such as *instruct is the same node as its anchor: each node counts once.
    nodes = {node.start_mark.index: node for node in _scalars_and_lists(root, set())}
    for node in nodes.values():
        comment = _COMMENT.match(text, node.end_mark.index)
        if comment is None:
            continue
        values = node.value if isinstance(node, yaml.SequenceNode) else [node]
        names = comment[1].split(", ")
        if len(values) == len(names):
            for value, name in zip(values, names):
                begin = _value_begin(text, value)
                yield BoundValue(
                    begin,
                    value.end_mark.index,
                    name.removeprefix("1 - "),
                    name.startswith("1 - "),
                    yaml.safe_load(text[begin : value.end_mark.index]),
                )


def values_by_name(values: Iterable[BoundValue], where: str) -> dict[str, Any]:
    """Name → value.

    Raises:
        UserError: if values of one name disagree.
    """
    names: dict[str, Any] = {}
    for bound in values:
        value = _complement(bound.value, bound.name, where) if bound.complement else bound.value
        if names.setdefault(bound.name, value) != value:
            raise UserError(
                f"{where} binds {bound.name} to both {names[bound.name]} and {value}: "
                f"make the values marked `# {bound.name}` agree, or use --set {bound.name}=…"
            )
    return names


def replace(text: str, values: Mapping[str, str], where: str) -> str:
    """The text with new values; names that it does not bind are left out.

    Raises:
        UserError: if a finite number is expected and none given.
    """
    found = find(text, yaml.compose(text, Loader=yaml.SafeLoader))
    for bound in sorted(found, key=lambda bound: bound.begin, reverse=True):
        if bound.name in values:
            value: Any = values[bound.name]
            if isinstance(bound.value, int | float):
                value = finite_number(value, bound.name)
                value = _complement(value, bound.name, where) if bound.complement else value
            text = text[: bound.begin] + _scalar(value) + text[bound.end :]
    return text


def finite_number(value: str, name: str) -> float:
    """A number from `--set`.

    Raises:
        UserError: if it is none, NaN or infinite.
    """
    try:
        number = float(value)
    except ValueError:
        number = None
    if number is None or not value.isascii() or "_" in value:  # float() takes 1_0 and other scripts' digits
        raise UserError(f"--set {name}={' '.join(value.splitlines())}: {name} is a number")
    if not math.isfinite(number):
        raise UserError(f"--set {name}={value}: {name} is a finite number")
    return number


def whole_number(value: str, name: str) -> int:
    """A whole number from `--set`, 0 or more."""
    if not value.isascii() or not value.isdigit():
        raise UserError(f"--set {name}={value}: {name} is a whole number, 0 or more")
    return int(value)


def _scalars_and_lists(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.Node]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _scalars_and_lists(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        if node.flow_style:
            yield node
        else:
            for value in node.value:
                yield from _scalars_and_lists(value, seen)
    elif isinstance(node, yaml.ScalarNode):
        yield node


def _value_begin(text: str, node: yaml.Node) -> int:
    """Where a scalar begins, after an anchor such as ``&instruct``."""
    anchor = _ANCHOR.match(text, node.start_mark.index)
    return anchor.end() if anchor else node.start_mark.index


def _complement(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{where}: `# 1 - {name}` marks {value!r}, which is no number")
    return float(1 - Decimal(str(value)))  # in decimal, so that the complement of a complement is the value again


def _scalar(value: Any) -> str:
    readable = not isinstance(value, str) or value.isprintable()  # line breaks of Unicode would become spaces
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=readable, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")
