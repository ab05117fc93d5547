"""A model's architecture, as mergekit's definitions describe it: each tensor's layer, vocabulary rows, tied heads, buffers.

Input: config.json and the tensors' names and shapes. The definitions are data files of the installed mergekit; its code is
not imported, which takes seconds. Where mergekit defines no architecture, layers are inferred as it infers them.
"""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError

_NUMBERED = re.compile(r"^(.*?)\.(\d+)\.")
"""A tensor's prefix and its layer: mergekit's rule for architectures without a definition."""

_LAYER_COUNT_KEY = re.compile(r"layer|depth|block")
_EXPERT = re.compile(r"\.experts\.\d+\.")
_BUFFER = re.compile(r"(^|\.)(inv_freq|cos_cached|sin_cached|masked_bias|position_ids)$")
_MASK = re.compile(r"\.(attn|attention|self_attn|self_attention)\.bias$")

_EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "tok_embeddings.weight",
    "embed_in.weight",
)
_HEADS = ("lm_head.weight", "lm_head.bias", "embed_out.weight")

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Weight:
    """One line of a definition: a pattern of tensor names."""

    pattern: re.Pattern[str]
    layers: int | None
    """Number of layers of its module; None for a weight outside layers."""
    vocabulary: bool
    forced_dtype: bool


@dataclass(frozen=True)
class Architecture:
    """What is known of the tensors of one model."""

    name: str
    """The class that config.json names, e.g. ``LlamaForCausalLM``."""
    defined: bool
    """Whether mergekit has a definition of it."""
    depths: Mapping[str, float | None]
    """Tensor → its layer as a share of the depth, 0 … 1 (0 outside layers); None where the layer cannot be found."""
    vocabulary: frozenset[str]
    """Tensors whose rows are tokens."""
    vocabulary_key: str
    """Where config.json gives the number of those rows, e.g. ``text_config.vocab_size``."""
    layer_keys: Mapping[str, str]
    """Module of mergekit's definition → where config.json gives the number of its layers, e.g. ``num_hidden_layers``."""
    processor_files: tuple[str, ...]
    """Files beside the tokenizer that the model needs, e.g. ``preprocessor_config.json``."""
    same_names: bool
    """Whether mergekit's definition has these names: filters look at its names."""
    separate_experts: bool
    """Whether experts are stored one by one, which mergekit fuses before it merges."""
    lost_experts: bool
    """Whether mergekit would leave experts out: it infers the layers, and only some of them have experts."""
    other_layers: tuple[int, int] | None
    """Number of layers by config.json, and of those that are stored, where mergekit's definition shows that these differ."""
    forced_dtypes: bool
    """Whether mergekit writes some tensors in another type than the rest."""
    embeddings: str | None = field(default=None)
    """The token embeddings, to which a head may be tied."""
    unfitting_embeddings: str | None = field(default=None)
    """Token embeddings with another number of rows than config.json gives: Moshi's have a row for a token it never writes."""

    def layer(self, tensor: str) -> int | None:
        """A tensor's layer, by the first number in its name; None outside layers."""
        numbered = _NUMBERED.match(tensor)
        return int(numbered[2]) if numbered else None

    def depth(self, tensor: str) -> float:
        """A tensor's share of the depth, for lists of values.

        Raises:
            UserError: if its layer cannot be found.
        """
        depth = self.depths[tensor]
        if depth is None:
            raise UserError(
                f"the layer of {tensor} cannot be found in {self.name}: lists of values by layer cannot be applied, use one "
                "value or filters"
            )
        return depth


def architecture_of(config: Mapping[str, Any], shapes: Shapes) -> Architecture:
    """The architecture of a model.

    Args:
        config: its config.json.
        shapes: of its tensors, by name.
    """
    name = (config.get("architectures") or ["unknown"])[0]
    definition = _definition(name, str(config.get("model_type")))
    weights = list(_weights(definition, config)) if definition else []
    matched = {tensor: _match(tensor, weights) for tensor in shapes}
    key = (definition or {}).get("vocab_size_config_key") or _vocabulary_key(config)
    if lookup(config, key) is None:
        key = _vocabulary_key(config)
    inferred = _inferred_depths(config, shapes)
    defined = {tensor: _depth(*match) if match else None for tensor, match in matched.items()}
    depths = {tensor: inferred[tensor] if depth is None else depth for tensor, depth in defined.items()}
    size = lookup(config, key)
    vocabulary = {
        tensor
        for tensor, match in matched.items()
        if (match is not None and match[0].vocabulary) or (_is_vocabulary(tensor) and shapes[tensor][:1] == (size,))
    }
    embeddings = [tensor for tensor in shapes if tensor in vocabulary and not tensor.endswith(_HEADS)]
    return Architecture(
        name=name,
        defined=definition is not None,
        depths=depths,
        vocabulary=frozenset(vocabulary),
        vocabulary_key=key,
        layer_keys=_layer_keys(definition),
        processor_files=tuple((definition or {}).get("tagalong_files") or ()),
        same_names=definition is None or all(match is not None for match in matched.values()),
        separate_experts=any(_EXPERT.search(tensor) for tensor in shapes),
        lost_experts=definition is None
        and _have_experts(shapes) not in (set(), _have_experts(shapes, all_layers=True)),
        other_layers=_other_layers(matched.values(), config),
        forced_dtypes=any(match is not None and match[0].forced_dtype for match in matched.values()),
        embeddings=embeddings[0] if embeddings else None,
        unfitting_embeddings=next((name for name in shapes if not embeddings and name.endswith(_EMBEDDINGS)), None),
    )


def is_buffer(tensor: str, shape: tuple[int, ...]) -> bool:
    """Whether a stored tensor is a buffer that the model computes itself: rotary frequencies, causal masks, positions."""
    return bool(_BUFFER.search(tensor)) or (bool(_MASK.search(tensor)) and len(shape) == 4)


def is_head(tensor: str) -> bool:
    """Whether a tensor is an output head, which may be tied to the embeddings."""
    return tensor.endswith(("lm_head.weight", "embed_out.weight"))


def lookup(config: Mapping[str, Any], key: str) -> Any:
    """A value of config.json by a dotted key, None where there is none."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _is_vocabulary(tensor: str) -> bool:
    return tensor.endswith((*_EMBEDDINGS, *_HEADS))


def _vocabulary_key(config: Mapping[str, Any]) -> str:
    return "text_config.vocab_size" if isinstance(config.get("text_config"), Mapping) else "vocab_size"


@functools.cache
def _definition(name: str, model_type: str) -> dict[str, Any] | None:
    """mergekit's definition of an architecture; of several, the one for the model type."""
    spec = find_spec("mergekit")
    if spec is None or spec.origin is None:
        return None
    found = []
    for path in sorted((Path(spec.origin).parent / "_data" / "architectures").glob("*.json")):
        text = path.read_text(encoding="utf-8")
        if f'"{name}"' in text:
            definition = json.loads(text)
            if name in definition["architectures"]:
                found.append(definition)
    if len(found) == 1:
        return found[0]
    return next((definition for definition in found if definition["model_type"] == model_type), None)


def _modules(definition: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return definition.get("modules") or {"default": {"architecture": definition}}


def _layer_keys(definition: Mapping[str, Any] | None) -> dict[str, str]:
    if definition is None:
        return {"default": "num_hidden_layers"}
    return {
        name: module["architecture"].get("num_layers_config_key") or "num_hidden_layers"
        for name, module in _modules(definition).items()
    }


def _weights(definition: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[_Weight]:
    for module in _modules(definition).values():
        architecture, prefix = module["architecture"], module.get("weight_prefix") or ""
        layers = architecture.get("override_num_layers")
        if layers is None:
            layers = lookup(config, architecture.get("num_layers_config_key") or "num_hidden_layers")
        layers = layers if isinstance(layers, int) else None
        for weight in (*architecture["pre_weights"], *architecture["post_weights"]):
            yield _weight(weight, prefix, layers, in_layer=False)
        for weight in architecture["layer_templates"]["weights"]:
            yield _weight(weight, prefix, layers, in_layer=True)


def _weight(weight: Mapping[str, Any], prefix: str, layers: int | None, *, in_layer: bool) -> _Weight:
    names = [prefix + name for name in (weight["name"], *(weight.get("aliases") or ()))]
    patterns = []
    for name in names:
        escaped = re.escape(name).replace(re.escape("${layer_index}"), r"(\d+)")
        # Other arithmetic (${layer_index+1}, ${num_layers}) names fixed tensors that no layer can be read from.
        patterns.append(re.sub(r"\\\$\\\{[^}]*\\\}", r"\\d+", escaped))
    pattern = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    return _Weight(
        pattern, layers if in_layer else None, weight.get("vocabulary_axis") == 0, bool(weight.get("force_dtype"))
    )


def _match(tensor: str, weights: list[_Weight]) -> tuple[_Weight, int | None] | None:
    """The line of the definition that a tensor matches, and the layer that its name gives."""
    for weight in weights:
        if match := weight.pattern.fullmatch(tensor):
            index = next((group for group in match.groups() if group is not None), None)
            return weight, None if index is None else int(index)
    return None


def _depth(weight: _Weight, index: int | None) -> float | None:
    """The depth of a tensor, where the definition gives it."""
    if weight.layers is None:
        return 0.0 if index is None else None
    if index is None or index >= weight.layers:
        return None
    return index / (weight.layers - 1) if weight.layers > 1 else 1.0


def _other_layers(
    matched: Iterable[tuple[_Weight, int | None] | None], config: Mapping[str, Any]
) -> tuple[int, int] | None:
    """Number of layers by config.json, and of those that are stored, where these differ; beyond them a model may have layers that
    predict further tokens."""
    stored: dict[int, set[int]] = {}
    for weight, index in filter(None, matched):
        if weight.layers is not None and index is not None:
            stored.setdefault(weight.layers, set()).add(index)
    more = config.get("num_nextn_predict_layers")
    more = more if isinstance(more, int) else 0
    for count, found in stored.items():
        if sum(index < count for index in found) < count or max(found) >= count + more:
            return count, len(found)
    return None


def _inferred_depths(config: Mapping[str, Any], shapes: Shapes) -> dict[str, float | None]:
    """Depths from the numbers in names, where config.json gives as many layers as there are numbers."""
    layers: dict[str, set[int]] = {}
    for tensor in shapes:
        if numbered := _NUMBERED.match(tensor):
            layers.setdefault(numbered[1], set()).add(int(numbered[2]))
    counts = set(_layer_counts(config))
    found: dict[str, float | None] = {}
    for tensor in shapes:
        numbered = _NUMBERED.match(tensor)
        if numbered is None:
            found[tensor] = 0.0
            continue
        indices = layers[numbered[1]]
        count = len(indices)
        if indices != set(range(count)) or count not in counts:
            found[tensor] = None
        else:
            found[tensor] = int(numbered[2]) / (count - 1) if count > 1 else 1.0
    return found


def _have_experts(shapes: Shapes, *, all_layers: bool = False) -> set[str]:
    """Layers with experts that are stored one by one; or all layers."""
    found = {tensor: _NUMBERED.match(tensor) for tensor in shapes}
    return {layer[0] for tensor, layer in found.items() if layer and (all_layers or _EXPERT.search(tensor))}


def _layer_counts(config: Mapping[str, Any]) -> Iterator[int]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _layer_counts(value)
        elif isinstance(value, int) and not isinstance(value, bool) and _LAYER_COUNT_KEY.search(key):
            yield value
