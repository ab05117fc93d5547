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
_ANY_COMMENT = re.compile(r"[ \t]*#[ \t]*(.*)")
_ENDS_A_VALUE = (
    yaml.ScalarToken,
    yaml.AliasToken,
    yaml.FlowSequenceEndToken,
    yaml.FlowMappingEndToken,
    yaml.FlowEntryToken,
)


@dataclass(frozen=True)
class BoundValue:
    """One value and its position in the text."""

    begin: int
    end: int
    name: str
    complement: bool
    value: Any
    comment: int
    """Where its comment begins: behind the value, or behind the list that holds it."""


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
                    node.end_mark.index,
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
        UserError: if a finite number is expected and none given, or a comment names one of them in another way.
    """
    found = list(find(text, yaml.compose(text, Loader=yaml.SafeLoader)))
    for name in values:
        _check_comments(text, name, found, where)
    for bound in sorted(found, key=lambda bound: bound.begin, reverse=True):
        if bound.name in values:
            value: Any = values[bound.name]
            if isinstance(bound.value, int | float):
                value = finite_number(value, bound.name)
                value = _complement(value, bound.name, where) if bound.complement else value
            text = text[: bound.begin] + _scalar(value) + text[bound.end :]
    return text


def _check_comments(text: str, name: str, found: Iterable[BoundValue], where: str) -> None:
    """Raise UserError if the comment behind a number names a bound number and does not bind: its value would stay as it is."""
    bound = {one.comment for one in found if one.name == name and isinstance(one.value, int | float)}
    mention = re.compile(
        rf"\b{re.escape(name)}\b" + (r"|\b1\s*[-\u2212\u2013]\s*λ" if name == "lambda" else ""), re.IGNORECASE
    )
    by_anchor: dict[str, str] = {}
    anchor = None
    for token in yaml.scan(text, Loader=yaml.SafeLoader) if bound else ():
        comment = _ANY_COMMENT.match(text, token.end_mark.index)
        is_bound = token.end_mark.index in bound
        if anchor and is_bound:
            by_anchor[anchor] = comment[1].strip() if comment else ""
        anchor = token.value if isinstance(token, yaml.AnchorToken) else None
        if comment is None or is_bound or not isinstance(token, _ENDS_A_VALUE) or not mention.search(comment[1]):
            continue
        if isinstance(token, yaml.AliasToken) and by_anchor.get(token.value) == comment[1].strip():
            continue
        if isinstance(token, yaml.ScalarToken) and not _is_number(token.value):
            continue
        raise UserError(
            f"{where}, line {token.start_mark.line + 1}: the comment {comment[1].strip()!r} names {name} and binds no value to it, "
            f"which would stay as it is: write `# {name}` or `# 1 - {name}` alone behind a number, and remarks on lines of their own"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
