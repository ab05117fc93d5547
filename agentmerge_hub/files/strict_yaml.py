"""YAML that people write: a key that is given twice is an error, because a parser would keep the last value silently."""

from typing import Any

import yaml

from agentmerge_hub.errors import UserError


def load(text: str, where: str) -> Any:
    """The value of a YAML file.

    Args:
        where: the file's name in messages.

    Raises:
        UserError: if it is not YAML, or a key is given twice.
    """
    try:
        nodes, seen = [yaml.compose(text, Loader=yaml.SafeLoader)], set()
        while nodes:
            node = nodes.pop()
            if id(node) in seen:  # an alias
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                check_keys(node, where)
                nodes += [value for _, value in node.value]
            elif isinstance(node, yaml.SequenceNode):
                nodes += node.value
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise UserError(f"{where} is not YAML: {line}{error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a date without such a month
        raise UserError(f"{where} is not YAML: {' '.join(str(error).split())}") from error


def check_keys(node: yaml.MappingNode, where: str) -> None:
    """Raise UserError if a key of a mapping is given twice, or is no text."""
    keys: set[str] = set()
    for key, _ in node.value:
        place = f"{where}, line {key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{place}: a key is a list or mapping, and should be a text")
        if key.value in keys:
            raise UserError(f"{place}: {key.value!r} is given twice, remove one")
        keys.add(key.value)
