"""YAML of unknown origin: composed without running anything, bounded in size after its aliases are expanded."""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from agentmerge_hub.errors import UserError
from agentmerge_hub.files.strict_yaml import check_keys

_MOST_NODES = 20_000
"""Values that a file may have when every alias is written out; the largest recipes have some hundred."""

_DEEPEST = 50

_LONGEST_NUMBER = 400
"""Characters of a whole number, beyond those of the largest float."""


def compose(text: str, where: str) -> yaml.Node | None:
    """The nodes of a YAML file.

    Raises:
        UserError: if its aliases expand to too many values or contain themselves, a key is there twice or no text, or a whole
            number is too long.
        yaml.YAMLError: if it is not YAML.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None:
        _expanded_size(root, where, {}, [])
    return root


def _expanded_size(node: yaml.Node, where: str, known: dict[int, int], parents: list[int]) -> int:
    """Number of values below a node with aliases written out, each node visited once."""
    if id(node) in parents:
        raise UserError(f"{where}: a value contains itself: write it out in place of its *alias")
    if id(node) in known:
        return known[id(node)]
    if len(parents) > _DEEPEST:
        raise UserError(f"{where}: values are nested more than {_DEEPEST} levels deep")
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [child for pair in node.value for child in pair]
        check_keys(node, where)
    elif isinstance(node, yaml.SequenceNode):
        children = list(node.value)
    elif node.tag.endswith(":int") and len(node.value) > _LONGEST_NUMBER:
        raise UserError(
            f"{where}, line {node.start_mark.line + 1}: a number has {len(node.value):,} digits, and should be a finite number"
        )
    size = 1
    for child in children:
        size += _expanded_size(child, where, known, [*parents, id(node)])
        if size > _MOST_NODES:
            raise UserError(f"{where}: its aliases expand to more than {_MOST_NODES:,} values: it is no merge spec")
    known[id(node)] = size
    return size


def check_finite(value: Any, where: str, place: str = "") -> None:
    """Raise UserError if a number of a parsed file, or a text in place of one, is NaN or infinite, or a value is a date or bytes.

    Args:
        place: the keys that lead to the value, e.g. ``models.0.parameters.weight``.
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            check_finite(inner, where, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            check_finite(inner, where, f"{place}.{index}")
    elif value is not None and not isinstance(value, str | bool | int | float):
        raise UserError(f"{where}: {place} is a {type(value).__name__}: a spec has texts, numbers, lists and mappings")
    elif not _is_finite(value, in_parameters="parameters" in place.split(".")):
        raise UserError(f"{where}: {place} is {value}, and should be a finite number")


def _is_finite(value: Any, *, in_parameters: bool) -> bool:
    if isinstance(value, int | float) or (in_parameters and isinstance(value, str)):
        try:
            return math.isfinite(float(value))
        except OverflowError:
            return False
        except ValueError:
            return True  # a text that is no number: mergekit judges it
    return True
