"""An adapter as a table of tensors: of plain LoRA W + s·B·A, computed when read, else the model that PEFT merges it into.

Plain LoRA (`is_plain`, an allow-list of settings) is computed here, chunk by chunk, and never stored. Everything else that
PEFT merges exactly (an allow-list too) is merged by PEFT into a scratch folder (`peft_backend`). The rest is refused.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.checkpoint import read_json
from agentmerge_hub.merging.inputs.safetensors_header import FLOATS, Tensor, header_of

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_PREFIX = "base_model.model."
_FACTOR = re.compile(rf"{re.escape(_PREFIX)}.+\.lora_[AB]\.weight")
"""Name of a factor; PEFT ignores others, e.g. without the prefix."""

_DESCRIPTIVE = {
    "auto_mapping", "base_model_name_or_path", "exclude_modules", "inference_mode", "layers_pattern",
    "layers_to_transform", "lora_alpha", "lora_dropout", "parent_library", "peft_type", "peft_version", "r", "revision",
    "target_modules", "task_type", "use_rslora", "megatron_core", "ensure_weight_tying", "loftq_config", "eva_config",
    "corda_config", "lora_ga_config", "monteclora_config", "qalora_group_size",
}  # fmt: skip
"""Settings that say which weights are adapted and how it was trained; r, lora_alpha and use_rslora are computed here."""

_PEFT_MERGES = {
    "use_dora", "modules_to_save", "trainable_token_indices", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "lora_bias",
    "bias", "target_parameters", "init_lora_weights",
}  # fmt: skip
"""Settings beyond those that `merge_and_unload` applies exactly; tests compare each with PEFT."""

OTHER_TYPES = (
    "ADALORA", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "FROD", "GLORA", "GRALORA", "HIRA", "HRA", "IA3", "LN_TUNING",
    "LOHA", "LOKR", "MISS", "OFT", "OSF", "PEANUT", "PSOFT", "PVERA", "RANDLORA", "ROAD", "SHIRA", "SUPERTUNING",
    "TINYLORA", "TRAINABLE_TOKENS", "UNILORA", "VBLORA", "VERA", "WAVEFT",
)  # fmt: skip
"""Types besides LORA that `merge_and_unload` applies exactly; a test compares each with PEFT."""

_PLAIN_INIT = (True, False, None, "gaussian")
_EXACT_INIT = (*_PLAIN_INIT, "eva", "mica", "orthogonal", "olora", "pissa")
"""Initializations that leave the base as it is, and those whose change of the base PEFT repeats exactly when it loads."""


@dataclass(frozen=True)
class AdaptedTensor:
    """A tensor of the base with low-rank factors on it; reads as float32."""

    base: Tensor
    a: Tensor
    """r × in."""
    b: Tensor
    """out × r."""
    scale: float
    dtype: str = "F32"

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def count(self) -> int:
        return self.base.count

    @property
    def size(self) -> int:
        """Bytes that are read for it."""
        return self.base.size + self.a.size + self.b.size


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def check_one_kind(folder: Path) -> None:
    """Raise UserError for a folder with both: transformers applies the adapter to the model, and a merge would leave it out."""
    if (folder / CONFIG).is_file() and not is_adapter(folder):
        raise UserError(
            f"{folder} holds a config.json and an {CONFIG}, which transformers loads together: remove config.json if it is an "
            f"adapter alone, {CONFIG} if it is a full model, or name two folders as MODEL+ADAPTER"
        )


def base_of(config: Mapping[str, Any]) -> str:
    """The model that an adapter was trained on: a folder, or a Hub id with its revision if the adapter names one."""
    name, revision = str(config.get("base_model_name_or_path")), config.get("revision")
    return f"{name}@{revision}" if revision and not Path(name).is_dir() else name


def config_of_adapter(folder: Path) -> dict[str, Any]:
    """adapter_config.json of an adapter that can be merged.

    Raises:
        UserError: if it is of another type, or has a setting that is not known to merge exactly.
    """
    config = read_json(folder / CONFIG)
    kind = config.get("peft_type")
    if kind != "LORA" and kind not in OTHER_TYPES:
        raise UserError(
            f"{folder} is an adapter of peft_type {kind}, which is not known to merge into the weights exactly: adapters of "
            f"type {', '.join(('LORA', *OTHER_TYPES))} can be merged"
        )
    known = _DESCRIPTIVE | _PEFT_MERGES if kind == "LORA" else _fields_of(str(kind))
    for key, value in config.items():
        if _is_set(value) and key not in known:
            raise UserError(f"{folder} has {key} = {value}, which is not known to merge exactly: it cannot be merged")
    if kind != "LORA":
        return config
    init = config.get("init_lora_weights", True)
    if init not in _EXACT_INIT:
        raise UserError(
            f"{folder} has init_lora_weights = {init}, which changes its base in a way that cannot be repeated: convert "
            "it with PEFT's path_initial_model_for_weight_conversion first"
        )
    for key in ("r", "lora_alpha"):
        value = config.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            raise UserError(f"{folder / CONFIG}: {key} is {value!r}, and should be a number above 0")
    return config


def is_plain(config: Mapping[str, Any]) -> bool:
    """Whether an adapter is W + s·B·A on weight matrices, with one rank and one scale."""
    init = config.get("init_lora_weights", True)
    others = _PEFT_MERGES - {"init_lora_weights", "bias"}
    return (
        config.get("peft_type") == "LORA"
        and not any(_is_set(config.get(key)) for key in others)
        and config.get("bias", "none") == "none"
        and init in _PLAIN_INIT
    )


def has_plain_weights(folder: Path, config: Mapping[str, Any], base: Mapping[str, Tensor]) -> bool:
    """Whether W + s·B·A can be computed on the tensors of the base as they are stored.

    Not where the adapter stores embeddings or copies of its base's layers, or other factors than its settings name; where a class of transformers has other names in memory, which are the adapter's, than in files; and where the base stores matrices
    transposed (`_has_transposed`).
    """
    stored = weights_of(folder)
    if not all(map(_FACTOR.fullmatch, stored)) or _has_transposed(base):
        return False
    modules = {name.removeprefix(_PREFIX).rpartition(".lora_")[0] for name in stored}
    matrices = {name.removesuffix(".weight") for name, tensor in base.items() if len(tensor.shape) == 2}
    return modules == {module for module in matrices if _is_target(module, config, folder)}


def _is_target(module: str, config: Mapping[str, Any], folder: Path) -> bool:
    """Whether settings are known to name a module; PEFT ignores factors on others (its `check_target_module_exists`)."""
    targets = config.get("target_modules")
    if config.get("layers_to_transform") is not None or config.get("exclude_modules"):
        return False
    if isinstance(targets, str):
        try:
            return re.fullmatch(targets, module) is not None
        except re.error as error:
            raise UserError(
                f"{folder / CONFIG}: target_modules {targets!r} is no regular expression: {error}"
            ) from error
    return isinstance(targets, list) and any(f".{module}".endswith(f".{target}") for target in targets)


def _has_transposed(base: Mapping[str, Tensor]) -> bool:
    """Whether a model stores matrices as in × out, as those of transformers' Conv1D (GPT-2, GPT-1): a bias has as many values
    as its matrix has columns. Square matrices do not show it, so that all of a model are judged by the others."""
    biases = {name.removesuffix(".bias"): tensor.shape for name, tensor in base.items() if name.endswith(".bias")}
    shapes = {name: base[f"{name}.weight"].shape for name in biases if f"{name}.weight" in base}
    return any(len(shape) == 2 and shape[0] != shape[1] and biases[name] == shape[1:] for name, shape in shapes.items())


def _fields_of(kind: str) -> set[str]:
    """Settings that PEFT has for a type; it ignores others."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    from peft.utils import PeftType

    return {field.name for field in fields(PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)])}


def _is_set(value: Any) -> bool:
    return value not in (None, False, [], {}, "", "none")


def factors_of(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Tensor name of the base → its factors A and B, of a plain adapter.

    Raises:
        UserError: if the weights are missing, or hold anything but pairs of factors.
    """
    stored = weights_of(folder)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, tensor in stored.items():
        target, _, factor = name.removeprefix(_PREFIX).rpartition(".lora_")
        other = stored.get(re.sub(r"\.lora_A\.weight$", ".lora_B.weight", name))
        if not _FACTOR.fullmatch(name) or other is None or len(tensor.shape) != 2:
            raise UserError(
                f"{folder / WEIGHTS} holds {name}, which is not a plain LoRA factor: let PEFT merge it first"
            )
        if factor == "A.weight":
            if other is tensor or len(other.shape) != 2:
                raise UserError(f"{folder / WEIGHTS} holds {name} without its second factor: the adapter is damaged")
            found[f"{target}.weight"] = (tensor, other)
    return found


def weights_of(folder: Path) -> dict[str, Tensor]:
    """Every tensor that an adapter stores.

    Raises:
        UserError: if the file is missing or damaged.
    """
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} has no {WEIGHTS}: the adapter is unfinished")
    return header_of(folder / WEIGHTS)


def check_fits(folder: Path, base: Mapping[str, Tensor], base_name: str) -> dict[str, tuple[Tensor, Tensor]]:
    """The factors of a plain adapter (`factors_of`), after comparing them with its settings and a model.

    Args:
        base: tensors of the model that it is applied to.
        base_name: that model, for messages.

    Raises:
        UserError: if the adapter is not plain, or does not fit its settings or the base.
    """
    config = config_of_adapter(folder)
    if not is_plain(config):
        settings = [key for key in sorted(_PEFT_MERGES) if _is_set(config.get(key))]
        settings = [key for key in settings if key != "init_lora_weights" or config[key] not in _PLAIN_INIT]
        settings = settings if config["peft_type"] == "LORA" else [config["peft_type"]]
        raise UserError(
            f"{folder} is not plain LoRA ({', '.join(settings)}): it applies to the model it was trained on and not to "
            f"{base_name}, merge it with `agentmerge merge`"
        )
    factors, rank = factors_of(folder), config["r"]
    order = slice(None, None, -1) if _has_transposed(base) else slice(None)
    for name, (a, b) in factors.items():
        if a.shape[0] != rank or b.shape[1] != rank:
            raise UserError(f"{folder} stores {name} with rank {a.shape[0]}, and its {CONFIG} says r = {rank}")
        if integers := [one.dtype for one in (a, b) if one.dtype not in FLOATS]:
            raise UserError(f"{folder} stores {name} as {integers[0]}: merging needs floating point")
        if name not in base or base[name].shape[order] != (b.shape[0], a.shape[1]):
            raise UserError(
                f"{folder} adapts {name} as {b.shape[0]} × {a.shape[1]}, and {base_name} has no such tensor"
            )
    return factors


def adapt(folder: Path, base: Mapping[str, Tensor], base_name: str) -> dict[str, Tensor | AdaptedTensor]:
    """Every tensor of the base, those that a plain adapter changes with its factors on them.

    Args:
        base: tensors of the model the adapter was trained on; of matrices that are out × in (`has_plain_weights`).
        base_name: that model, for messages.

    Raises:
        UserError: as `check_fits`.
    """
    factors, config = check_fits(folder, base, base_name), config_of_adapter(folder)
    scale = config["lora_alpha"] / (math.sqrt(config["r"]) if config.get("use_rslora") else config["r"])
    return {
        name: AdaptedTensor(tensor, *factors[name], scale) if name in factors else tensor
        for name, tensor in base.items()
    }
