"""Memory and disk that a run needs, against what the machine has. A rough estimate, made before the first step."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from peft.tuners.lora import LoraLayer
from trl import SFTConfig

from agentmerge_hub.errors import UserError
from agentmerge_hub.plural import counted
from agentmerge_hub.sizes import size_text
from agentmerge_hub.training import frozen_weights
from agentmerge_hub.training.activation_checkpointing import decoder_layers
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.process_group import is_sharded

_LOGITS = 2**28 * 4 * 4
"""Bytes of logits and what is computed from them: see `completion_loss.MAX_LOGITS`; TRL's tiles on a GPU are smaller."""
_RUNTIME = 3e8
"""Bytes of buffers and of an allocator's fragmentation."""
_IN_4_BITS, _IN_8_BITS = 0.55, 1.05
"""Bytes of a quantized parameter with its scales."""


@dataclass(frozen=True)
class Estimate:
    """In bytes."""

    memory: float
    """Of one process: weights, gradients, optimizer state, activations of the largest batch, logits."""
    memory_by_recomputed: tuple[float, ...]
    """The same, if the activations of 0, 1, … all decoder layers are computed again."""
    disk: float
    checkpoints: int
    """Number of checkpoints that are kept."""


def estimate(
    model: Any, config: RunConfig, rows: int, length: int, labels: int, checkpoints: int, recomputed: int
) -> Estimate:
    """Estimate what a run needs.

    Args:
        model: as `model_loading.empty_model` makes it.
        config: the run's settings.
        rows: of the largest batch on one device, or packs.
        length: tokens of each, padding included.
        labels: largest number of trained tokens in such a batch.
        checkpoints: that the run writes.
        recomputed: decoder layers, from the lowest, whose activations are computed again in the backward pass.
    """
    sizes = [(each.numel(), each.requires_grad) for each in model.parameters()]
    total, trained = sum(size for size, _ in sizes), sum(size for size, requires_grad in sizes if requires_grad)
    embedding = model.get_input_embeddings().weight
    width = 2 if config.model.dtype in ("bfloat16", "float16") else 4
    halved = sum(each.numel() for each in frozen_weights.bfloat16_weights(model, config))
    held = _weights(model, config, total, width) - 2 * halved + _moments(config, width) * trained
    if not config.peft and getattr(config.sft, "loads_reference", False):  # of preference optimization
        held += width * total
    gradients = width * trained
    head = width * embedding.numel() if embedding.requires_grad else 0.0
    frozen_copies, trained_copies = _autocast_copies(config, total - embedding.numel() - halved, trained)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if is_sharded():
        held, gradients, head, frozen_copies, trained_copies = (
            each / processes for each in (held, gradients, head, frozen_copies, trained_copies)
        )
    elif processes > 1:
        held += gradients  # DistributedDataParallel's buckets
    logits = min(16 * labels * embedding.shape[0], _LOGITS)
    layers = decoder_layers(model)
    below = _frozen_from_the_bottom(model, layers)
    layer, its_input = _activations(model, config, layers[0], rows, length)
    # Gradients appear while activations go; those of earlier batches of a step are there from the start.
    present = gradients if config.sft.gradient_accumulation_steps > 1 else min(head, gradients)
    # The adapter is merged into a second copy of the model, on the CPU in any case.
    merging = 4 * total if config.peft and config.sft.device.type == "cpu" else 0.0
    loading = width * total if halved else 0.0  # weights are halved where they are trained

    def memory(count: int) -> float:
        whole, inputs = len(layers) - max(count, below), max(count - below, 0)
        # A layer is computed again after those above it are through: with any of these kept, it takes the place of one.
        activations = layer * max(whole, min(inputs, 1)) + its_input * inputs
        copies = trained_copies + frozen_copies * (1 - count / len(layers))
        backward_starts, backward_ends = present + copies + activations + logits, gradients + layer
        return _RUNTIME + max(held + max(backward_starts, backward_ends, merging), loading)

    by_recomputed = tuple(map(memory, range(len(layers) + 1)))
    kept = min(checkpoints, config.sft.save_total_limit or checkpoints)
    saved = 12 * trained if config.peft else width * total + _moments(config, width) * trained
    return Estimate(
        memory=by_recomputed[recomputed],
        memory_by_recomputed=by_recomputed,
        disk=kept * saved + 4 * total,
        checkpoints=kept,
    )


def _weights(model: Any, config: RunConfig, total: int, width: int) -> float:
    """Bytes of the weights; of a quantized model the embedding and the output layer are not quantized."""
    quantized = _IN_4_BITS if config.model.load_in_4bit else _IN_8_BITS if config.model.load_in_8bit else width
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    plain = {id(weight): weight.numel() for layer in layers if (weight := getattr(layer, "weight", None)) is not None}
    return width * sum(plain.values()) + quantized * (total - sum(plain.values()))


def _autocast_copies(config: RunConfig, body: int, trained: int) -> tuple[float, float]:
    """Bytes of the weights in the precision of the pass: of frozen ones that are not stored in it, which the backward pass needs
    unless it computes them again, and of trained ones, which autocast keeps until the forward pass ends."""
    if not (config.sft.bf16 or config.sft.fp16):
        return 0.0, 0.0
    quantized = config.model.load_in_4bit or config.model.load_in_8bit
    return 0.0 if quantized else 2.0 * max(body - trained, 0), 2.0 * trained


def _moments(config: RunConfig, width: int) -> int:
    """Bytes of the optimizer's state for each trained parameter."""
    name = str(getattr(config.sft.optim, "value", config.sft.optim))
    if "sgd" in name:
        return 0
    return 2 if "8bit" in name else 2 * width


def _activations(model: Any, config: RunConfig, first: torch.nn.Module, rows: int, length: int) -> tuple[float, float]:
    """Bytes that a layer, such as the first, keeps for the backward pass, and those of its input."""
    text, width = model.config.get_text_config(), 2 if config.sft.bf16 or config.sft.fp16 else 4
    hidden = text.hidden_size
    attention, mlp = _attention_width(text), _mlp_width(first, text)
    if config.sft.device.type == "cpu":
        # Fitted to the memory of a Llama of 33M parameters.
        layer = 32 * hidden + 6 * width * (attention + mlp + hidden)
    else:
        # Residual stream and norms in float32; the inputs of five products and attention's output; queries, keys and values;
        # gate, its activation, the other branch and their product. Within 3 % of a Llama of 1.2B parameters on an H100.
        gates = 2 if config.sft.use_liger_kernel else 4  # Liger computes the activation and the product again
        layer = 16 * hidden + width * (6 * hidden + attention + gates * mlp)
        if config.peft:
            # Frozen norms keep their inputs only; attention's output is there once more, as an adapter's input.
            layer += (width - 8) * hidden + _dropout_masks(first, config)
    layer += _further_norms(model, first) + length * _attention_matrices(model, config)
    return rows * length * layer, rows * length * 4 * hidden


def _further_norms(model: Any, layer: torch.nn.Module) -> float:
    """Bytes of a token in the norms that a layer has beside the two of a Llama: after its attention and its MLP too, as Gemma's, or
    of queries and keys. Each keeps its input in float32, and normalized if norms are trained."""
    text = model.config.get_text_config()
    heads, key_heads, head = _heads(_layer_configs(text)[0]) or (1, 1, 0)
    width = -2 * text.hidden_size
    for name, weight in _norm_weights(layer):
        times = {"q": heads, "k": key_heads}.get(name.rpartition(".")[2][:1], 1) if weight.numel() == head else 1
        width += weight.numel() * times
    trained = any(weight.requires_grad for _, weight in _norm_weights(model))
    return (8 if trained else 4) * max(width, 0)


def _norm_weights(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The names of a module's norms and their weights."""
    for name, each in module.named_modules():
        if "Norm" in type(each).__name__ and isinstance(weight := getattr(each, "weight", None), torch.Tensor):
            yield name, weight


def _dropout_masks(layer: torch.nn.Module, config: RunConfig) -> int:
    """Bytes of a token in the masks of the adapters' dropout on a GPU, one for each number that enters an adapter."""
    adapted = (each for each in layer.modules() if isinstance(each, LoraLayer))
    return sum(each.in_features or 0 for each in adapted) if config.model.lora_dropout else 0


def _attention_matrices(model: Any, config: RunConfig) -> float:
    """Bytes for each pair of tokens of a row, in one layer: none where attention is computed in blocks, which on a CPU it is not
    with dropout (as GPT-2's), and nowhere with attn_implementation eager."""
    text, eager = model.config.get_text_config(), model.config._attn_implementation == "eager"
    dropout = not getattr(config.sft, "disable_dropout", False) and any(
        getattr(text, name, 0) for name in ("attn_pdrop", "attention_dropout", "attention_probs_dropout_prob")
    )
    if not eager and not (dropout and config.sft.device.type == "cpu"):
        return 0.0
    heads = max(getattr(each, "num_attention_heads", None) or 0 for each in _layer_configs(text))
    return (12.0 if dropout else 4.0) * heads  # weights, mask and their product


def _layer_configs(text: Any) -> Sequence[Any]:
    """The configuration of each layer where they differ, as Gemma 4's; it refuses to give what differs as the whole model's."""
    return text.per_layer_config if getattr(text, "is_heterogeneous", False) else [text]


def _attention_width(text: Any) -> int:
    """Width of queries, keys and values together, of the widest layer; of three times the hidden state where the configuration
    has no heads."""
    return max(_layer_attention_width(each) for each in _layer_configs(text))


def _layer_attention_width(layer: Any) -> int:
    if (found := _heads(layer)) is None:
        return 3 * layer.hidden_size
    heads, key_heads, head = found
    return head * (heads + 2 * key_heads)


def _heads(layer: Any) -> tuple[int, int, int] | None:
    """The heads of a layer's queries, those of its keys, and the width of one; None where its configuration has none."""
    heads = getattr(layer, "num_attention_heads", None)
    if not isinstance(heads, int) or not heads:
        return None
    key_heads = getattr(layer, "num_key_value_heads", None)
    head = getattr(layer, "head_dim", None) or layer.hidden_size // heads
    return heads, key_heads if isinstance(key_heads, int) and key_heads else heads, head


def _mlp_width(layer: torch.nn.Module, text: Any) -> int:
    """Inner width of a layer's MLP, or of the experts that one token uses; from the weights, whose names differ less than
    configurations. A gate that is fused with the other branch (GLM-4, Phi-3) has twice the width; the way down shows it."""
    experts = getattr(text, "num_experts_per_tok", None) or 1
    widths = [
        max(parameter.shape[-2:]) * (experts if parameter.dim() == 3 or ".experts." in name else 1)
        for name, parameter in layer.named_parameters()
        if "lora_" not in name and (parameter.dim() == 3 or (parameter.dim() == 2 and "gate_up_proj" not in name))
    ]
    return max(widths, default=4 * text.hidden_size)


def _frozen_from_the_bottom(model: Any, layers: torch.nn.ModuleList) -> int:
    """Layers below everything that is trained: the backward pass does not reach them, and nothing is kept for it."""
    if model.get_input_embeddings().weight.requires_grad:
        return 0
    trained = [any(each.requires_grad for each in layer.parameters()) for layer in layers]
    return trained.index(True) if any(trained) else len(layers)


def available_memory() -> tuple[float, str]:
    """Bytes that one process may use, and of which device."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory, "GPU"
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return psutil.virtual_memory().available / processes, "machine"


def memory_warning(needed: Estimate) -> str | None:
    """A sentence if the run may not fit, None if it should.

    The estimate is within 5 % of what was measured on an H100 (Llama), and on a CPU within 15 % of the process's resident set for
    Llama, Phi-3, GPT-2 and Qwen3-MoE at 1.8 GB and above. The libraries' 0.7 to 0.9 GB are in that set, and in memory before: of
    1.68 GB of a small Gemma 3, for which 1.33 are estimated, 0.87.
    """
    available, device = available_memory()
    if needed.memory <= 0.95 * available:
        return None
    fewest = _fewest_recomputed(needed.memory_by_recomputed, available)
    again = "" if fewest is None else f"set activation_checkpointing: true and recomputed_layers: {fewest}, "
    return (
        f"Warning: the run takes about {size_text(needed.memory)} of memory a process and the {device} has "
        f"{size_text(available)}: {again}lower per_device_train_batch_size, or shard over more devices"
    )


def _fewest_recomputed(memory_by_recomputed: Sequence[float], available: float) -> int | None:
    """The smallest number of layers that are computed again in a run that fits with a tenth to spare; None if none does."""
    return next((count for count, needed in enumerate(memory_by_recomputed) if needed <= 0.9 * available), None)


def checkpointing_hint(
    config: RunConfig, recomputed: int, memory_by_recomputed: Sequence[float], available: float
) -> str | None:
    """A sentence if a GPU could keep activations that are computed again.

    Args:
        config: the run's settings.
        recomputed: layers whose activations are computed again.
        memory_by_recomputed: bytes of one process if those of 0, 1, … all layers are.
        available: bytes of the GPU.
    """
    fewest = _fewest_recomputed(memory_by_recomputed, available)
    if fewest is None or fewest >= recomputed or config.sft.device.type == "cpu":
        return None
    setting = f"recomputed_layers: {fewest}" if fewest else "activation_checkpointing: false"
    # Twice as many operations as weights in a forward pass, and in a backward pass for each of inputs and weights.
    layers, passes = len(memory_by_recomputed) - 1, 2 if config.peft else 3
    saved = (recomputed - fewest) / (passes * layers + recomputed)
    return (
        f"Note: {setting} would take about {size_text(memory_by_recomputed[fewest])} of the GPU's {size_text(available)} and save "
        f"{saved:.0%} of the operations"
    )


def dtype_warning(config: RunConfig) -> str | None:
    """A sentence if the weights are stored too coarsely for the learning rate, None if not."""
    bits = {"bfloat16": 8, "float16": 11, "auto": 8}.get(str(config.model.dtype))
    if bits is None or config.peft:
        return None
    rate = config.sft.learning_rate
    return (
        f"Warning: dtype {config.model.dtype} stores weights with {bits} significant bits: a weight of 0.02 moves in steps of about "
        f"{0.02 * 2.0**-bits:.0e}, and an AdamW step at learning_rate {rate:.0e} changes it by about {rate:.0e}, so that "
        "most updates are rounded away: set dtype to float32 (with bf16: true the products are bfloat16 all the same)"
    )


def bfloat16_warning(sft: SFTConfig, cpu_capability: str) -> str | None:
    """A sentence if bfloat16 products would slow a run down on this CPU, None if not.

    Args:
        sft: TRL's settings.
        cpu_capability: as `torch.backends.cpu.get_cpu_capability` names it.
    """
    if not sft.bf16 or sft.device.type != "cpu" or cpu_capability != "AVX2":
        return None
    # A linear layer of 640 × 2,048 on two cores of an EPYC with AVX2 alone: 66 GFLOP/s in float32, 17 in bfloat16.
    return (
        "Warning: this CPU has no AVX-512, and bfloat16 is several times slower on it than float32: set bf16 to false"
    )


def check_disk(needed: Estimate, folder: Path) -> None:
    """Raise UserError if checkpoints and model do not fit on the disk; files that the run has written count as free."""
    parent = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    written = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    free = shutil.disk_usage(parent).free + written
    if needed.disk > free:
        parts, advice = "the model", "free some, or set output_dir to another disk"
        if needed.checkpoints:
            parts = f"{counted(needed.checkpoints, 'checkpoint')} and the model"
        if needed.checkpoints > 1:
            advice = "free some, raise checkpoint_samples, or set save_total_limit: 1 to keep the newest only"
        raise UserError(
            f"{folder} will take {size_text(needed.disk)} for {parts}, and its disk has {size_text(free)}: {advice}"
        )
