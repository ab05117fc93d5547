"""config.json files compared: models can be merged if they agree in everything that shapes the forward pass.

transformers reads each file first, so that a setting written in two ways, or left at its default, is one setting. What may
differ is an allow-list. No code of a model is ever run.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from agentmerge_hub.errors import UserError

_DESCRIPTIVE = {
    "_commit_hash", "_name_or_path", "architectures", "attn_implementation", "_attn_implementation", "auto_map", "dtype",
    "finetuning_task", "id2label", "label2id", "name_or_path", "num_labels", "output_attentions", "output_hidden_states",
    "problem_type", "return_dict", "return_dict_in_generate", "task_specific_params", "torch_dtype", "torchscript",
    "transformers_version", "use_cache",
}  # fmt: skip
"""Names, versions, and how results are returned."""

_TOKEN_IDS = {"bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id"}
"""Where a turn begins and ends: the tokenizer's model gives them."""

_TRAINING = {
    "attention_dropout", "attn_pdrop", "classifier_dropout", "dropout", "embd_pdrop", "embedding_dropout", "hidden_dropout",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "summary_first_dropout", "initializer_factor",
    "initializer_range", "output_router_logits", "router_aux_loss_coef", "router_jitter_noise", "layerdrop",
    "activation_dropout",
}  # fmt: skip
"""Settings that act in training only."""

_VOCABULARY = {"vocab_size"}
"""Compared with the rows of the embeddings instead (`vocabulary`)."""

_MAY_DIFFER = _DESCRIPTIVE | _TOKEN_IDS | _TRAINING | _VOCABULARY
_SPECIAL_FLOATS = ("Infinity", "-Infinity", "NaN")
_MISSING = object()
_COUNT = re.compile(r"(layer|depth|block)s?$")
_MOST_LAYERS = 10_000
"""More than any model has. transformers makes a list as long as the number, or as many layers, before it compares anything."""


def check_one(config: Mapping[str, Any], name: str) -> None:
    """Raise UserError if a config.json names no model class, holds NaN or impossible numbers of layers, or its model is quantized;
    `name` is for messages."""
    found = config.get("architectures")
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], str):
        raise UserError(f"the config.json of {name} names no model class: its architectures is {plain(found)}")
    if config.get("quantization_config"):
        raise UserError(
            f"the config.json of {name} has a quantization_config: merging needs the weights before quantization"
        )
    if key := next(_not_numbers(config), None):
        raise UserError(f"the config.json of {name} has NaN as its {key}: correct it")
    if said := too_many_layers(config):
        raise UserError(f"the config.json of {name} {said}: correct it")


def too_many_layers(config: Mapping[str, Any]) -> str | None:
    """The number of layers that no model has, in words; None if there is none. transformers must not read such a config.json."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            if said := too_many_layers(value):
                return said
        elif isinstance(value, int | float) and value > _MOST_LAYERS and _COUNT.search(key):
            return f"says {plain(key)} {value}, and no model has more than {_MOST_LAYERS:,}"
    return None


def check_same(configs: Mapping[str, Mapping[str, Any]], base: str) -> None:
    """Compare the configs of all models with the base model's.

    Args:
        configs: reference → config.json; each passed `check_one`.

    Raises:
        UserError: naming the first key that differs, with both values; or if transformers does not know a model.
    """
    base_config = configs[base]
    for name, config in configs.items():
        if config.get("architectures") != base_config.get("architectures"):
            raise UserError(
                f"{name} does not fit {base}: its architectures is {plain(config.get('architectures'))}, "
                f"not {plain(base_config.get('architectures'))}"
            )
    for name, config in configs.items():
        if next(_differences(config, base_config), None) is None:
            continue
        for key, found, expected in _differences(_defined(config, name), _defined(base_config, base)):
            raise UserError(
                f"{name} does not fit {base}: its {key} is {plain(found)}, not {plain(expected)} (config.json)"
            )


def check_loadable(configs: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UserError if transformers cannot read a config.json, by its model type or a value, with or without a trial reply.

    Args:
        configs: reference → config.json, of the models that give a merge its own.
    """
    for name, config in configs.items():
        as_transformers_reads(config, name)


def has_own_code(config: Mapping[str, Any]) -> bool:
    """Whether config.json names code files of its own for a class that transformers lacks."""
    if not config.get("auto_map"):
        return False
    import transformers

    known = set(dir(transformers))
    return not all(name in known for name in config.get("architectures") or ["unknown"])


def _not_numbers(value: Any, key: str = "") -> Iterator[str]:
    """Dotted key of everything that is NaN."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _not_numbers(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _not_numbers(inner, key)
    elif isinstance(value, float) and math.isnan(value):
        yield plain(key)


def _differences(
    config: Mapping[str, Any], other: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Key and both values of what differs and may not."""
    ignored = _MAY_DIFFER | _positions(config, other)
    for key in sorted(config.keys() | other.keys()):
        if key in ignored:
            continue
        found, expected = config.get(key, _MISSING), other.get(key, _MISSING)
        if isinstance(found, Mapping) and isinstance(expected, Mapping):
            yield from _differences(found, expected, f"{prefix}{key}.")
        elif found != expected:
            yield f"{prefix}{key}", found, expected


def _positions(config: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """Limits that shape nothing: the longest input under plain rotary positions, and a window that is switched off."""
    both = (config, other)
    ignored: set[str] = set()
    if all(_has_plain_rope(one) for one in both):
        ignored.add("max_position_embeddings")
    if all(one.get("use_sliding_window") is False for one in both):
        ignored |= {"sliding_window", "max_window_layers"}
    return ignored


def _has_plain_rope(config: Mapping[str, Any]) -> bool:
    rope = config.get("rope_parameters")
    return isinstance(rope, Mapping) and rope.get("rope_type") == "default"


def _defined(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A config as transformers reads it, without the keys that its class does not define."""
    found = as_transformers_reads(config, name)
    defaults = _config_class(config, name)().to_dict()
    return {key: value for key, value in found.items() if key in defaults}


def as_transformers_reads(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A config with its defaults filled in, by transformers' class; `name` is for messages.

    Raises:
        UserError: if transformers has no such class, or it does not accept a value.
    """
    kind = _config_class(config, name)
    if said := too_many_layers(config):
        raise UserError(f"the config.json of {name} {said}: correct it")
    try:
        return kind.from_dict(decoded(config)).to_dict()
    except Exception as error:  # whatever the class raises for values it does not expect
        raise UserError(
            f"the config.json of {name} is not accepted by transformers: {' '.join(str(error).split())[:200]}"
        ) from error


def decoded(value: Any) -> Any:
    """A copy of a value of config.json, with the numbers that transformers writes as ``{"__float__": "Infinity"}``."""
    if isinstance(value, Mapping):
        if value.keys() == {"__float__"} and value["__float__"] in _SPECIAL_FLOATS:
            return float(value["__float__"])
        return {key: decoded(inner) for key, inner in value.items()}
    return [decoded(inner) for inner in value] if isinstance(value, list) else value


def _config_class(config: Mapping[str, Any], name: str) -> Any:
    from transformers import CONFIG_MAPPING

    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        raise UserError(
            f"{name} has model_type {model_type!r}, which transformers does not know: it can be neither compared nor loaded"
        )
    return CONFIG_MAPPING[model_type]


def plain(value: Any) -> str:
    """A value for a message."""
    if value is _MISSING:
        return "unset"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 120 else f"{text[:120]}…"
