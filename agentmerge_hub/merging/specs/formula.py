"""From a spec to the coefficients of one tensor: which models are combined, at which weights. No file is read here.

Only what one streaming pass can compute is a Formula: task_arithmetic, linear and ties over whole models in float32. mergekit
runs every other spec. The lookup of settings (a model's parameters before the file's, the first filter that fits, lists
interpolated from the first layer to the last) follows mergekit 0.1.5.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.specs.spec import Spec, tokenizer_source_of

METHODS = ("task_arithmetic", "linear", "ties")
OUT_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
"""A type's name in a spec → as safetensors writes it."""

_KEYS = {
    "base_model", "models", "merge_method", "parameters", "dtype", "out_dtype", "tokenizer_source", "tokenizer",
    "chat_template",
}  # fmt: skip
_TEXTS = ("base_model", "dtype", "out_dtype", "tokenizer_source", "chat_template")
_MODEL_KEYS = {"model", "parameters"}
_SHARED = {
    "task_arithmetic": {"normalize", "lambda", "int8_mask", "weight"},
    "linear": {"normalize", "weight"},
    "ties": {"normalize", "lambda", "int8_mask", "weight", "density", "rescale"},
}


@dataclass(frozen=True)
class Formula:
    """How every tensor of a merge follows from its inputs."""

    method: str
    models: tuple[str, ...]
    """References of the weighted models, in the file's order; without the base where deltas are taken from it."""
    base: str | None
    """Reference of the model the deltas are taken from; None for linear."""
    settings: tuple[Mapping[str, Any], ...]
    """Each model's parameters."""
    shared: Mapping[str, Any]
    """The file's parameters."""
    out_dtype: str
    """As safetensors writes it."""

    @property
    def references(self) -> tuple[str, ...]:
        """Every model that is read, the base first."""
        return (self.base, *self.models) if self.base else self.models

    @property
    def has_filters(self) -> bool:
        """Whether a value depends on a part of the tensors' names."""
        values = [value for settings in (self.shared, *self.settings) for value in settings.values()]
        entries = [entry for value in values for entry in (value if isinstance(value, list) else [value])]
        return any(isinstance(entry, Mapping) for entry in entries)

    @property
    def has_lists(self) -> bool:
        """Whether a value depends on the layer."""
        return any(_is_by_layer(value) for settings in (self.shared, *self.settings) for value in settings.values())


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of one tensor."""

    weights: tuple[float, ...]
    normalize: bool
    factor: float
    """mergekit's `lambda`: on the whole sum of deltas."""
    densities: tuple[float, ...]
    """For ties: the share of each delta that is kept."""


def formula_of(spec: Spec) -> Formula | None:
    """The spec as a formula, or None if only mergekit computes it."""
    config = spec.config
    method = config["merge_method"]
    if method not in METHODS or not set(config) <= _KEYS or not _well_formed(config):
        return None
    tokenizer = config.get("tokenizer")
    shared = config.get("parameters") or {}
    out_dtype = config.get("out_dtype") or config.get("dtype")
    if (
        config.get("dtype") != "float32"
        or out_dtype not in OUT_DTYPES
        or not isinstance(config.get("base_model"), str)
        or (tokenizer and config.get("tokenizer_source"))
        or not set(tokenizer or {}) <= {"source"}
        or None in (tokenizer or {}).values()
        or tokenizer_source_of(config) == "union"
        or config.get("chat_template") is not None
        or not set(shared) <= _SHARED[method]
        or shared.get("rescale")
    ):
        return None
    base = config["base_model"]
    models: list[str] = []
    settings: list[Mapping[str, Any]] = []
    for entry in config["models"]:
        parameters = entry.get("parameters") or {}
        if not isinstance(entry.get("model"), str) or not set(parameters) <= {"weight", "density"} & _SHARED[method]:
            return None
        models.append(entry["model"])
        settings.append(parameters)
    if method != "linear":
        kept = [index for index, model in enumerate(models) if model != base]
        models, settings = [models[index] for index in kept], [settings[index] for index in kept]
    if not models or len(set(models)) < len(models) or (method == "linear" and base not in models):
        return None
    return Formula(
        method, tuple(models), None if method == "linear" else base, tuple(settings), shared, OUT_DTYPES[out_dtype]
    )


def _well_formed(config: Mapping[str, Any]) -> bool:
    models = config.get("models")
    if not isinstance(models, list) or not all(
        isinstance(entry, dict) and set(entry) <= _MODEL_KEYS for entry in models
    ):
        return False
    parameters = [config.get("parameters"), *(entry.get("parameters") for entry in models)]
    mappings = [*parameters, config.get("tokenizer")]
    texts = [*(config.get(key) for key in _TEXTS), tokenizer_source_of(config)]
    return (
        all(mapping is None or isinstance(mapping, dict) for mapping in mappings)
        and all(text is None or isinstance(text, str) for text in texts)
        and all(_is_setting(value) for mapping in parameters for value in (mapping or {}).values())
    )


def _is_setting(value: Any) -> bool:
    """Whether mergekit takes this for a parameter: a scalar, a list of them, or either behind filters."""
    entries = value if isinstance(value, list) else [value]
    if not entries:
        return False
    if all(isinstance(entry, dict) for entry in entries):
        return all(
            set(entry) <= {"value", "filter"}
            and isinstance(entry.get("filter", ""), str)
            and not isinstance(entry.get("value"), dict)
            and _is_setting(entry.get("value"))
            for entry in entries
        )
    return all(isinstance(entry, bool | int | float | str) for entry in entries)


def coefficients_of(formula: Formula, tensor: str, depth: float, where: str) -> Coefficients:
    """The coefficients that apply to one tensor.

    Args:
        tensor: its name.
        depth: its layer as a share of the model's depth, 0 … 1, for lists of values; embeddings, the final norm and the head
            take the first value of a list, as in mergekit.
        where: the spec, for messages.

    Raises:
        UserError: if a weight is missing or no finite number.
    """

    def number(name: str, scopes: Sequence[Mapping[str, Any]], default: float | None) -> float:
        for scope in scopes:
            if name in scope:
                try:
                    value = _evaluate(scope[name], tensor, depth)
                    if value is not None:
                        return _finite(value)
                except (TypeError, ValueError, OverflowError):
                    raise UserError(
                        f"{where}: {name} is {scope[name]!r}, and should be made of finite numbers"
                    ) from None
        if default is None:
            raise UserError(f"{where} gives no {name} for {tensor}: each model needs one")
        return default

    per_model = [(settings, formula.shared) for settings in formula.settings]
    weights = tuple(number("weight", scopes, None) for scopes in per_model)
    normalize = formula.shared.get("normalize", formula.method != "task_arithmetic")
    if not isinstance(normalize, bool):
        raise UserError(f"{where}: normalize is {normalize!r}, and should be true or false")
    if formula.method == "linear" and normalize and abs(sum(weights)) < 1e-7:  # in float32
        raise UserError(
            f"{where}: the weights of {tensor} sum to 0, and linear divides by their sum: set normalize: false, or other weights"
        )
    return Coefficients(
        weights=weights,
        normalize=normalize,
        factor=number("lambda", [formula.shared], 1.0),
        densities=tuple(number("density", scopes, 1.0) for scopes in per_model) if formula.method == "ties" else (),
    )


def has_lists(config: Any) -> bool:
    """Whether any parameter of a mergekit configuration, at any level, depends on the layer."""
    if isinstance(config, list):
        return any(has_lists(entry) for entry in config)
    if not isinstance(config, Mapping):
        return False
    parameters = config.get("parameters")
    own = parameters.values() if isinstance(parameters, Mapping) else ()
    return any(_is_by_layer(value) for value in own) or any(
        has_lists(value) for key, value in config.items() if key != "parameters"
    )


def filters_of(config: Any) -> Iterator[str]:
    """Every filter of a mergekit configuration, at any level."""
    if isinstance(config, list):
        for entry in config:
            yield from filters_of(entry)
    elif isinstance(config, Mapping):
        for key, value in config.items():
            if key == "filter" and isinstance(value, str):
                yield value
            else:
                yield from filters_of(value)


def differing_parameter(config: Any, one: str, other: str) -> str | None:
    """The first parameter of a mergekit configuration, at any level, that has other values for one tensor than for another,
    both outside layers; None if there is none."""
    if isinstance(config, list):
        return next((key for entry in config if (key := differing_parameter(entry, one, other))), None)
    if not isinstance(config, Mapping):
        return None
    parameters = config.get("parameters")
    for key, value in parameters.items() if isinstance(parameters, Mapping) else ():
        if _evaluate(value, one, 0.0) != _evaluate(value, other, 0.0):
            return str(key)
    return differing_parameter([value for key, value in config.items() if key != "parameters"], one, other)


def _is_by_layer(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _is_by_layer(value.get("value"))
    if not isinstance(value, list):
        return False
    if any(isinstance(entry, Mapping) for entry in value):
        return any(_is_by_layer(entry.get("value")) for entry in value if isinstance(entry, Mapping))
    return len(value) > 1


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _evaluate(setting: Any, tensor: str, t: float) -> Any:
    """A setting's value at one tensor; None where no filter fits."""
    if isinstance(setting, dict):
        setting = [setting]
    if not isinstance(setting, list):
        return setting
    if all(not isinstance(entry, dict) for entry in setting):
        return _between(setting, t) if setting else None
    for entry in setting:
        pattern = entry.get("filter")
        if pattern is None or pattern == "*" or pattern in tensor:
            return _evaluate(entry.get("value"), tensor, t)
    return None


def _between(values: Sequence[Any], t: float) -> float:
    """A list's value at t in [0, 1], interpolated between its neighbours."""
    numbers = [_finite(value) for value in values]
    scaled = t * (len(numbers) - 1)
    left = int(scaled)
    share = scaled - left
    return (1 - share) * numbers[left] + share * numbers[min(len(numbers) - 1, left + 1)]
