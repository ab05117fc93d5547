"""A merge spec: a mergekit YAML file whose comments name its values. Input: text. Output: a Spec. Nothing is run here.

A value followed by a comment of one word is bound to that name, `# 1 - name` to its complement::

    - model: runs/base-all # agent
      parameters:
        weight: 0.5 # lambda

so `--set lambda=0.4` changes the numbers of that name and no others, while the file stays plain mergekit YAML. A random
method's seed is a separate line, ``# seed: 42``: mergekit takes it only as an option.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.specs import bound_values
from agentmerge_hub.merging.specs.safe_yaml import check_finite, compose

SPEC_FILE = "mergekit_config.yml"
"""The name under which a merged folder keeps the spec it was made with."""

RANDOM_METHODS = ("arcee_fusion", "dare_linear", "dare_ties", "della", "della_linear")
"""mergekit's methods that draw random numbers; arcee_fusion does for tensors of over a million values."""

DEFAULT_SEED = 42
"""For a random method whose spec names no seed."""

_SEED = re.compile(r"^# seed:[ \t]*(\S*).*$", re.MULTILINE)
_TITLE = re.compile(r"\A# ([a-z_]+): ")
_LARGEST_SEED = 2**32 - 1
_LONGEST = 1_000_000
"""Characters of a spec."""


@dataclass(frozen=True)
class Spec:
    """One merge."""

    text: str
    """The file with its comments: what mergekit-yaml gets."""
    config: dict[str, Any]
    """The parsed YAML."""
    names: dict[str, Any]
    """Bound values by name, e.g. ``{"agent": "runs/base-all", "lambda": 0.5}``."""
    seed: int | None
    """Of a random method."""
    method: str
    """The first word of the file, e.g. ``agentmerge``; else mergekit's name of the method."""
    seed_is_default: bool = False
    """Whether the file names no seed and got `DEFAULT_SEED`."""

    @property
    def is_random(self) -> bool:
        """Whether mergekit draws random numbers for it."""
        return self.config["merge_method"] in RANDOM_METHODS


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
    if len(text) > _LONGEST:
        raise UserError(f"{where} is {len(text):,} characters long: a merge spec has at most {_LONGEST:,}")
    try:
        root = compose(text, where)
        config = yaml.safe_load(text)
        values = list(bound_values.find(text, root))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: what looks like a date and is none
        raise UserError(f"{where} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict) or not isinstance(config.get("merge_method"), str):
        raise UserError(f"{where} has no merge_method: it should be a mergekit spec, e.g. recipes/merge/agentmerge.yml")
    check_finite(config, where)
    names = bound_values.values_by_name(values, where)
    title = _TITLE.match(text)
    method = title[1] if title and title[1] != "seed" else config["merge_method"]
    seed = _seed_of(text, where) if config["merge_method"] in RANDOM_METHODS else None
    return Spec(text, config, names, seed, method)


def _seed_of(text: str, where: str) -> int | None:
    found = set(_SEED.findall(text))
    if len(found) > 1:
        raise UserError(f"{where} names several seeds ({', '.join(sorted(found))}): leave one line `# seed: N`")
    for seed in found:
        if not seed.isascii() or not seed.isdigit():
            raise UserError(f"{where}: the seed is {seed!r}, and should be a whole number, 0 or more")
        if int(seed) > _LARGEST_SEED:
            raise UserError(f"{where}: the seed {seed} is too large: it may be at most {_LARGEST_SEED}")
        return int(seed)
    return None


def with_values(spec: Spec, values: Mapping[str, str], where: str) -> Spec:
    """The spec with bound values replaced, e.g. ``{"lambda": "0.4", "agent": "runs/other"}``.

    Raises:
        UserError: if the spec binds no such name, or a finite number is expected and none given.
    """
    known = set(spec.names) | ({"seed"} if spec.seed is not None or spec.is_random else set())
    for name in values:
        if name not in known:
            raise UserError(f"{where} has no value marked `# {name}`: --set takes {', '.join(sorted(known)) or 'none'}")
    text = bound_values.replace(spec.text, values, where)
    if "seed" in values:
        text = _with_seed(text, bound_values.whole_number(values["seed"], "seed"))
    return parse(text, where)


def with_seed(spec: Spec, where: str) -> Spec:
    """The spec of a random method with a seed; a spec that has one, or needs none, as it is."""
    if not spec.is_random or spec.seed is not None:
        return spec
    return replace(parse(_with_seed(spec.text, DEFAULT_SEED), where), seed_is_default=True)


def _with_seed(text: str, seed: int) -> str:
    line = f"# seed: {seed}"
    if _SEED.search(text):
        return _SEED.sub(line, text)
    return f"{text.rstrip(chr(10))}\n{line}\n"


def extrapolated(spec: Spec) -> list[str]:
    """Names of shares between two models that are outside of 0 … 1: of values that the spec gives with their complement
    (``# 1 - lambda``), and slerp's."""
    found = bound_values.find(spec.text, yaml.compose(spec.text, Loader=yaml.SafeLoader))
    is_slerp = spec.config["merge_method"] == "slerp"
    shares = dict.fromkeys(bound.name for bound in found if bound.complement or is_slerp)
    numbers = {name: spec.names[name] for name in shares if isinstance(spec.names[name], int | float)}
    return [name for name, value in numbers.items() if not 0 <= value <= 1]


def references_of(spec: Spec) -> list[str]:
    """Every model a spec names, in the order of the file, each once; with the one that gives the tokenizer."""
    return list(dict.fromkeys([*models_of(spec), donor_of(spec)]))


def models_of(spec: Spec) -> list[str]:
    """The models whose weights are merged, in the order of the file, each once."""
    return list(dict.fromkeys(_references(spec.config)))


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
    """The tokenizer's source in a mergekit configuration; None where it names none."""
    tokenizer = config.get("tokenizer")
    return config.get("tokenizer_source") or (tokenizer.get("source") if isinstance(tokenizer, dict) else None)


def is_model_place(key: str, value: str) -> bool:
    """Whether a text of a mergekit configuration names a model, by its key; a source can also be `base` or `union`."""
    if key in ("tokenizer_source", "source"):
        return value not in ("base", "union")
    return key in ("base_model", "model")


def sliced_layers(spec: Spec, layer_keys: Mapping[str, str]) -> dict[str, int]:
    """Key of config.json → number of layers of the merge, for each module that the spec builds of slices.

    Args:
        layer_keys: module → key; a spec without `modules` has the same slices for all.

    Raises:
        UserError: if it builds a module that the models do not have, or has slices of models of several modules.
    """
    if spec.config.get("slices") and len(layer_keys) > 1:
        raise UserError(
            f"the spec has slices, and these models consist of {', '.join(layer_keys)}: write the slices of each under `modules:`"
        )
    for module in spec.config.get("modules") or ():
        if module not in layer_keys:
            raise UserError(f"the spec builds a module {module!r}, and these models consist of {', '.join(layer_keys)}")
    ranges = {key: layer_ranges(spec, module) for module, key in layer_keys.items()}
    return {key: sum(end - begin for begin, end in found) for key, found in ranges.items() if found}


def layer_ranges(spec: Spec, module: str) -> list[tuple[int, int]]:
    """The layers that the slices of a spec take for a module: the first, and the one after the last; empty without slices."""
    modules = spec.config.get("modules")
    slices = (modules.get(module) or {}).get("slices") if modules else spec.config.get("slices")
    return [tuple(part["sources"][0]["layer_range"]) for part in slices or ()]


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
