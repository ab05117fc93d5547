"""A LoRA adapter as the model it makes of its base: every tensor W + s·B·A, computed where it is read, never stored.

Only plain LoRA is taken: low-rank factors on weight matrices. Anything else an adapter may carry (DoRA, biases, whole
modules, ranks by pattern) is refused rather than left out.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.checkpoint import Tensor, header_of

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

_PREFIX = "base_model.model."
_MUST_BE_UNSET = (
    "use_dora", "modules_to_save", "trainable_token_indices", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "lora_bias",
    "layer_replication", "target_parameters",
)  # fmt: skip


@dataclass(frozen=True)
class Adapted:
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


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (folder / CONFIG).is_file() and not (folder / "config.json").is_file()


def config_of_adapter(folder: Path) -> dict[str, Any]:
    """adapter_config.json of plain LoRA.

    Raises:
        UserError: if it is anything else.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CONFIG} cannot be read: {error}") from error
    odd = [key for key in _MUST_BE_UNSET if config.get(key)]
    if config.get("peft_type") != "LORA" or odd or config.get("bias", "none") != "none":
        what = ", ".join(odd) or f"peft_type {config.get('peft_type')}, bias {config.get('bias')}"
        raise UserError(
            f"{folder} is not plain LoRA ({what}): let PEFT merge it into its base first (merge_and_unload, save_pretrained)"
        )
    return config


def factors_of(folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Tensor name of the base → its factors A and B.

    Raises:
        UserError: if the weights are missing, or hold anything but pairs of factors.
    """
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} has no {WEIGHTS}: the adapter is unfinished")
    stored = header_of(folder / WEIGHTS)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, tensor in stored.items():
        target, _, factor = name.removeprefix(_PREFIX).rpartition(".lora_")
        other = stored.get(name.replace(".lora_A.", ".lora_B."))
        if factor not in ("A.weight", "B.weight") or other is None:
            raise UserError(
                f"{folder / WEIGHTS} holds {name}, which is not a plain LoRA factor: let PEFT merge it first"
            )
        if factor == "A.weight":
            found[f"{target}.weight"] = (tensor, other)
    return found


def adapt(folder: Path, base: Mapping[str, Tensor], base_name: str) -> dict[str, Tensor | Adapted]:
    """Every tensor of the base, those the adapter touches with its factors on them.

    Args:
        base: tensors of the model the adapter was trained on.
        base_name: that model, for messages.
    """
    config, factors = config_of_adapter(folder), factors_of(folder)
    rank = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    for name, (a, b) in factors.items():
        if name not in base or base[name].shape != (b.shape[0], a.shape[1]):
            raise UserError(
                f"{folder} adapts {name} as {b.shape[0]} × {a.shape[1]}, and {base_name} has no such tensor"
            )
    return {
        name: Adapted(tensor, *factors[name], scale) if name in factors else tensor for name, tensor in base.items()
    }
