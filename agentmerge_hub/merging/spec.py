"""A merge spec: a mergekit YAML file whose comments name its values. Text enters, a Spec leaves; nothing is run here.

A value followed by a comment of one word is bound to that name, `# 1 - name` to its complement::

    - model: runs/base-all # agent
      parameters:
        weight: 0.5 # lambda

so `--set lambda=0.4` changes the numbers of that name and no others, while the file stays plain mergekit YAML. A random
method's seed is a line of its own, ``# seed: 42``: mergekit takes it only as an option.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from agentmerge_hub.errors import UserError

_COMMENT = re.compile(r"[ \t]*#[ \t]*((?:1 - )?[a-z_]+(?:, (?:1 - )?[a-z_]+)*)[ \t]*$", re.MULTILINE)
_SEED = re.compile(r"^# seed: (\d+)", re.MULTILINE)
_TITLE = re.compile(r"\A# ([a-z_]+): ")


@dataclass(frozen=True)
class Spec:
    """One merge."""

    text: str
    """The file, comments and all: what mergekit-yaml gets."""
    config: dict[str, Any]
    """What the YAML says."""
    names: dict[str, Any]
    """Bound values by name, e.g. ``{"agent": "runs/base-all", "lambda": 0.5}``."""
    seed: int | None
    """Of a random method."""
    method: str
    """The first word of the file, e.g. ``agentmerge``; else mergekit's name of the method."""


@dataclass(frozen=True)
class _Place:
    """Where a bound value stands in the text."""

    begin: int
    end: int
    name: str
    complement: bool
    value: Any


def read(path: Path) -> Spec:
    """The spec in a file.

    Raises:
        UserError: if there is no such file, it is not YAML, or its bound values contradict each other.
    """
    try:
        return parse(Path(path).read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read: it should be a merge spec, e.g. recipes/merge/agentmerge.yml"
        ) from error


def parse(text: str, where: str) -> Spec:
    """The spec in a text; `where` names it in messages."""
    try:
        config = yaml.safe_load(text)
        if _holds_itself(config):
            raise UserError(f"{where}: a value holds itself: write it out in place of its *alias")
        places = list(_places(text))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what looks like a date and is none
        raise UserError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict) or "merge_method" not in config:
        raise UserError(f"{where} has no merge_method: it should be a mergekit spec, e.g. recipes/merge/agentmerge.yml")
    names: dict[str, Any] = {}
    for place in places:
        value = _complement(place.value, place.name, where) if place.complement else place.value
        if names.setdefault(place.name, value) != value:
            raise UserError(
                f"{where} binds {place.name} to both {names[place.name]} and {value}: "
                f"make the values marked `# {place.name}` agree, or use --set {place.name}=…"
            )
    seed = _SEED.search(text)
    title = _TITLE.match(text)
    return Spec(text, config, names, int(seed[1]) if seed else None, title[1] if title else str(config["merge_method"]))


def _holds_itself(value: Any) -> bool:
    """Whether an alias stands inside what it stands for."""
    try:
        json.dumps(value, default=str, skipkeys=True)
    except (ValueError, RecursionError):
        return True
    return False


def with_values(spec: Spec, values: Mapping[str, str], where: str) -> Spec:
    """The spec with bound values replaced, e.g. ``{"lambda": "0.4", "agent": "runs/other"}``.

    Raises:
        UserError: if the spec binds no such name, or a number is expected and none given.
    """
    known = set(spec.names) | ({"seed"} if spec.seed is not None else set())
    for name in values:
        if name not in known:
            raise UserError(f"{where} has no value marked `# {name}`: --set takes {', '.join(sorted(known)) or 'none'}")
    text = spec.text
    for place in sorted(_places(text), key=lambda place: place.begin, reverse=True):
        if place.name in values:
            value: Any = values[place.name]
            if isinstance(place.value, int | float):
                value = _number(value, place.name)
                value = _complement(value, place.name, where) if place.complement else value
            text = text[: place.begin] + _scalar(value) + text[place.end :]
    if "seed" in values:
        text = _SEED.sub(f"# seed: {int(_number(values['seed'], 'seed'))}", text)
    return parse(text, where)


def references_of(spec: Spec) -> list[str]:
    """Every model a spec names, in the order of the file, each once; the one that gives the tokenizer too."""
    return list(dict.fromkeys([*_references(spec.config), donor_of(spec)]))


def donor_of(spec: Spec) -> str:
    """The model that gives a merge its tokenizer and chat template.

    Raises:
        UserError: if the spec names no model at all.
    """
    source = tokenizer_source_of(spec.config)
    if isinstance(source, str) and source not in ("base", "union"):
        return source
    named = [spec.config.get("base_model"), *_references(spec.config)]
    for model in named:
        if isinstance(model, str):
            return model
    raise UserError(f"the spec of {spec.method} names no model")


def tokenizer_source_of(config: Mapping[str, Any]) -> Any:
    """What a mergekit configuration says of the tokenizer's source; None where it says nothing."""
    tokenizer = config.get("tokenizer")
    return config.get("tokenizer_source") or (tokenizer.get("source") if isinstance(tokenizer, dict) else None)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("base_model", "model") and isinstance(inner, str):
                yield inner
            elif key not in ("tokenizer", "tokenizer_source"):
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _places(text: str) -> Iterator[_Place]:
    """Every value of the YAML that a comment at the end of its line names."""
    # An alias such as *instruct is the very node it stands for: once is enough.
    nodes = {node.start_mark.index: node for node in _scalars_and_lists(yaml.compose(text, Loader=yaml.SafeLoader))}
    for node in nodes.values():
        comment = _COMMENT.match(text, node.end_mark.index)
        if comment is None:
            continue
        values = node.value if isinstance(node, yaml.SequenceNode) else [node]
        names = comment[1].split(", ")
        if len(values) == len(names):
            for value, name in zip(values, names):
                yield _Place(
                    _begin(text, value),
                    value.end_mark.index,
                    name.removeprefix("1 - "),
                    name.startswith("1 - "),
                    yaml.safe_load(text[_begin(text, value) : value.end_mark.index]),
                )


def _scalars_and_lists(node: yaml.Node | None) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _scalars_and_lists(value)
    elif isinstance(node, yaml.SequenceNode):
        if node.flow_style:
            yield node
        else:
            for value in node.value:
                yield from _scalars_and_lists(value)
    elif isinstance(node, yaml.ScalarNode):
        yield node


def _begin(text: str, node: yaml.Node) -> int:
    """Where a scalar itself begins, behind an anchor such as ``&instruct``."""
    anchor = re.compile(r"&[^ \t]+[ \t]+").match(text, node.start_mark.index)
    return anchor.end() if anchor else node.start_mark.index


def _number(value: str, name: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UserError(f"--set {name}={value}: {name} is a number") from None


def _complement(value: Any, name: str, where: str) -> float:
    if not isinstance(value, int | float):
        raise UserError(f"{where}: `# 1 - {name}` stands behind {value!r}, which is no number")
    return float(1 - Decimal(str(value)))  # in decimal, so that the complement of a complement is the value again


def _scalar(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).removesuffix("\n").removesuffix("\n...")
