"""What a run takes of memory and disk, against what the machine has. Rough, and before the first step."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from transformers import PreTrainedModel
from trl import SFTConfig

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import Run

GB = 1e9
_HEAD = 2**28 * 4 * 4
"""Bytes of logits and what is made of them: see `head.AT_ONCE`; TRL's tiles on a GPU are smaller."""
_RUNTIME = 3e8
"""Bytes of buffers and of an allocator's gaps."""
_QUANTIZED = 0.55
"""Bytes of a parameter in 4 bits with its scales."""


@dataclass(frozen=True)
class Needs:
    """In bytes."""

    memory: float
    """Of one process: weights, gradients, optimizer state, activations of the largest batch, logits."""
    disk: float
    checkpoints: int
    """That are kept."""


def needs(model: PreTrainedModel, asked: Run, tokens: int, labels: int, steps: int, samples: int) -> Needs:
    """Estimate a run's needs.

    Args:
        model: as `student.outline` makes it.
        asked: the run.
        tokens: of the largest batch on one device, with its padding.
        labels: trained tokens of such a batch, at most.
        steps: optimizer steps of the whole run.
        samples: that a step sees.
    """
    every = [(each.numel(), each.requires_grad) for each in model.parameters()]
    total, trained = sum(size for size, _ in every), sum(size for size, grows in every if grows)
    wide = model.get_input_embeddings().weight.numel()
    weights = 4 * wide + _QUANTIZED * (total - wide) if asked.model.load_in_4bit else 4 * total
    sharded = any(os.environ.get(f"ACCELERATE_USE_{name}", "").lower() == "true" for name in ("FSDP", "DEEPSPEED"))
    copies = 2 * total if asked.config.bf16 or asked.config.fp16 else 0
    state = (weights + copies + 12 * trained) / (int(os.environ.get("WORLD_SIZE", "1")) if sharded else 1)
    logits = min(16 * labels * wide / model.config.get_text_config().hidden_size, _HEAD)
    kept = min(steps * samples // asked.own.checkpoint_samples, steps)
    kept = min(kept, asked.config.save_total_limit or kept)
    checkpoint = 12 * trained if asked.model.use_peft else 4 * total + 8 * trained
    return Needs(
        memory=_RUNTIME + state + _activations(model, asked, tokens) + logits,
        disk=kept * checkpoint + 4 * total,
        checkpoints=kept,
    )


def _activations(model: PreTrainedModel, asked: Run, tokens: int) -> float:
    """Bytes kept for the backward pass: of every layer, or its input alone where activations are computed again."""
    config, width = model.config.get_text_config(), 2 if asked.config.bf16 or asked.config.fp16 else 4
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    heads = config.num_attention_heads + 2 * getattr(config, "num_key_value_heads", config.num_attention_heads)
    # Norms and residual stream in float32; projections, attention and gates in the precision of the pass. The counts were
    # fitted to what a Llama of 33M parameters was seen to take on a CPU.
    layer = 32 * config.hidden_size + 6 * width * (head * heads + config.intermediate_size + config.hidden_size)
    layers = config.num_hidden_layers - _frozen_from_the_bottom(model)
    if asked.config.gradient_checkpointing:
        return tokens * (layer + 4 * config.hidden_size * layers)
    return tokens * layer * layers


def _frozen_from_the_bottom(model: PreTrainedModel) -> int:
    """Layers below everything that is trained: the backward pass never reaches them, and they keep nothing for it."""
    stack = max((each for each in model.modules() if isinstance(each, torch.nn.ModuleList)), key=len)
    if model.get_input_embeddings().weight.requires_grad:
        return 0
    grows = [any(each.requires_grad for each in layer.parameters()) for layer in stack]
    return grows.index(True) if any(grows) else len(stack)


def memory_there() -> tuple[float, str]:
    """Bytes one process may take, and of what."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory, "GPU"
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return psutil.virtual_memory().available / processes, "machine"


def too_little_memory(needed: Needs) -> str | None:
    """A sentence if the run may not fit, None if it should."""
    there, where = memory_there()
    if needed.memory <= there:
        return None
    return (
        f"Warning: the run takes about {needed.memory / GB:.1f} GB of memory a process and the {where} has "
        f"{there / GB:.1f} GB: lower per_device_train_batch_size, set activation_checkpointing, or shard over more devices"
    )


def slow_bfloat16(config: SFTConfig, instructions: str) -> str | None:
    """A sentence if bfloat16 would slow a run down, None if not.

    Args:
        config: of the run.
        instructions: the CPU's, as `torch.backends.cpu.get_cpu_capability` names them.
    """
    if not config.bf16 or config.device.type != "cpu" or instructions != "AVX2":
        return None
    # A linear layer of 640 × 2,048 on two cores of an EPYC with AVX2 alone: 66 GFLOP/s in float32, 17 in bfloat16.
    return "Warning: this CPU has no AVX-512, and bfloat16 takes it several times as long as float32: set bf16 to false"


def check_disk(needed: Needs, folder: Path) -> None:
    """Raise UserError if checkpoints and model do not fit beside what is there; what the run has written counts as room."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(there).free + written
    if needed.disk > free:
        raise UserError(
            f"{folder} will take {needed.disk / GB:.1f} GB for {needed.checkpoints} checkpoints and the model, and its disk has "
            f"{free / GB:.1f} GB: free some, raise checkpoint_samples, or set save_total_limit to keep the newest alone"
        )
