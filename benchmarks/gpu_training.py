"""Training for benchmarks/gpu.py: one side of a comparison, or one way of attention, in this process."""

import os
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from gpu_inputs import SIDES
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoConfig, TrainerCallback

from agentmerge_hub.training import frozen_weights, model_loading, rows
from agentmerge_hub.training.arguments import parse_args
from agentmerge_hub.training.preflight import memory_estimate
from agentmerge_hub.training.preflight.run_plan import make_plan
from agentmerge_hub.training.trainer import new_trainer

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12}
"""bfloat16, dense, by NVIDIA's data sheets."""
ADAPTER = {"use_peft": True, "lora_r": 16, "lora_target_modules": "all-linear"}


class Clock(TrainerCallback):
    """The time from the end of step `warm` to the end of the last one."""

    def __init__(self, warm: int) -> None:
        self.warm, self.started, self.ended = warm, 0.0, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ended = time.perf_counter()
        if state.global_step == self.warm:
            self.started = self.ended


def prepared(work: Path, name: str, toy: bool, **options: Any) -> tuple[Any, Any, Any]:
    """Settings, tokenizer and tokenized rows of a run in the folder `name`, one row a device."""
    settings: dict[str, Any] = {
        "model_name_or_path": work / "model", "dataset_name": next(work.glob("rows-*")), "output_dir": work / name, "max_length": 16_384,
        "per_device_train_batch_size": 1, "report_to": "none", "bf16": True, "use_cpu": toy,
    } | options  # fmt: skip
    config = parse_args([word for key, value in settings.items() for word in (f"--{key}", str(value))])
    tokenizer, template = model_loading.load_tokenizer(config)
    split = rows.load_split(config.dataset_name, "all", "train")
    return config, tokenizer, rows.tokenize(split, tokenizer, template, None)


def set_checkpointing(config: Any, layers: int) -> None:
    """Compute the activations of the lowest layers again: an option of two names since transformers 5.23, which reads the new one."""
    config.sft.gradient_checkpointing = config.sft.activation_checkpointing = layers > 0
    config.options.recomputed_layers = layers or None


def one_side(side: str, work: Path, toy: bool, lora: bool) -> dict[str, Any]:
    """Train some steps; the first ones are not measured."""
    warm, measured = (1, 2) if toy else (3, 8)
    options = {"max_steps": warm + measured, "seed": 0} | SIDES[side] | (ADAPTER if lora else {})
    config, tokenizer, dataset = prepared(work, side, toy, **options)
    if side != "trl":
        # Activations are computed again only in as many layers as the estimate says that they do not fit.
        available, _ = memory_estimate.available_memory()
        needed = make_plan(dataset, config).needs.memory_by_recomputed
        fits = (count for count, each in enumerate(needed) if each <= 0.94 * available)
        set_checkpointing(config, next(fits, len(needed) - 1))
    plan = make_plan(dataset, config)
    if side != "trl":
        trainer = new_trainer(config, tokenizer, dataset, [])
    else:
        from trl import SFTConfig, SFTTrainer

        sft = SFTConfig(
            str(work / side), per_device_train_batch_size=1, max_length=None, max_steps=warm + measured, save_strategy="no",
            use_cpu=toy, report_to="none",
        )  # fmt: skip
        trainer = SFTTrainer(
            str(work / "model"), args=sft, train_dataset=dataset, processing_class=tokenizer, peft_config=config.peft
        )

    clock = Clock(warm)
    trainer.add_callback(clock)
    trainer.train()
    length, labels = len(dataset[0]["input_ids"]), sum(label != -100 for label in dataset[0]["labels"])
    speed = measured * length / (clock.ended - clock.started)
    result: dict[str, Any] = {
        "tokens_per_s": speed, "row": length, "recomputed_layers": plan.recomputed, "layers": plan.layers,
    }  # fmt: skip
    estimated = side != "trl" or not lora  # TRL's frozen weights take twice the memory
    if estimated:
        result["estimate_gb"] = plan.needs.memory / 1e9
    if torch.cuda.is_available():
        name, peak = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 1e9
        result["peak_gb"] = peak
        if estimated:
            result["estimate_error"] = plan.needs.memory / 1e9 / peak - 1
        if limit := next((value for card, value in PEAK_FLOPS.items() if card in name), None):
            flops = flops_of_a_row(AutoConfig.from_pretrained(work / "model"), plan.parameters, length, labels, lora)
            result["mfu"] = flops * speed / length / limit
    return result


def lora_exact(work: Path, toy: bool) -> dict[str, Any]:
    """Losses and gradient norms of four steps of LoRA with frozen weights in float32, in bfloat16, and in bfloat16 with the
    activations of one layer computed again: by torch's kernels, and by Liger's where they are."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # with the next line: sums in the same order each time
    torch.use_deterministic_algorithms(True, warn_only=True)
    stored = frozen_weights.bfloat16_weights
    ways = {"float32": (lambda *_: (), 0), "bfloat16": (stored, 0), "recomputed": (stored, 1)}
    found: dict[str, Any] = {}
    for liger in (False, True) if torch.cuda.is_available() and find_spec("liger_kernel") else (False,):
        logs = {}
        for name, (weights, layers) in ways.items():
            options = {"max_steps": 4, "logging_steps": 1, "use_liger_kernel": liger, "learning_rate": 1e-2, "seed": 0}
            config, tokenizer, dataset = prepared(work, name, toy, **options | ADAPTER)
            set_checkpointing(config, layers)
            with mock.patch.object(frozen_weights, "bfloat16_weights", weights):
                trainer = new_trainer(config, tokenizer, dataset, [])
            trainer.train()
            logs[name] = [(log["loss"], log["grad_norm"]) for log in trainer.state.log_history if "loss" in log]
        equal = {f"{name}_equal": logs[name] == logs["float32"] for name in ("bfloat16", "recomputed")}
        found["liger" if liger else "torch"] = logs | equal
    torch.use_deterministic_algorithms(False)
    return found


def flops_of_a_row(model: Any, parameters: int, length: int, labels: int, lora: bool) -> float:
    """Operations of a training step on one row; what is computed again for the backward pass is not counted.

    Two a weight and token forward, four backward (two where only an adapter is trained); the embedding is looked up, and the
    output layer computed at the labels only, on both sides. Causal attention: half of 2 + 4 products of length² × width.
    """
    head = model.vocab_size * model.hidden_size
    body = parameters - head * (1 if model.tie_word_embeddings else 2)
    each = 4 if lora else 6
    attention = 6 * model.num_hidden_layers * model.num_attention_heads * model.head_dim * length**2
    return each * (body * length + head * labels) + attention


def packed(attention: str, work: Path, toy: bool) -> dict[str, Any]:
    steps = 2 if toy else 8
    length = 256 if toy else 8192
    options = {"max_length": length, "packing": True, "max_steps": steps, "attn_implementation": attention}
    config, tokenizer, dataset = prepared(work, attention, toy, **options)
    trainer = new_trainer(config, tokenizer, dataset, [])
    clock = Clock(1)
    trainer.add_callback(clock)
    trainer.train()
    tokens = [entry["num_tokens"] for entry in trainer.state.log_history if "num_tokens" in entry]
    mean = tokens[-1] / steps
    peak = torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    return {"tokens_per_s": (steps - 1) * mean / (clock.ended - clock.started), "pack": mean, "peak_gb": peak}


def lengths(work: Path, toy: bool) -> dict[str, Any]:
    """Steps a second on rows of about 8,192 tokens, each of another length: with cuDNN's attention, without it, and with it on
    rows that are padded to multiples of 512. No mask hides the padding: it is at the end, where a causal model's tokens see none."""
    steps, found = 3 if toy else 9, {}
    for name, cudnn, multiple in (("cudnn", True, None), ("without", False, None), ("padded", True, 512)):
        padding = {"pad_to_multiple_of": multiple} if multiple else {}
        config, tokenizer, dataset = prepared(work, name, toy, max_steps=steps, **padding)
        set_checkpointing(config, 0)
        trainer = new_trainer(config, tokenizer, dataset, [])
        torch.backends.cuda.enable_cudnn_sdp(cudnn)
        collate: Any = trainer.data_collator
        if multiple:
            trainer.data_collator = lambda rows_, collate=collate: _without_mask(collate(rows_))
        clock = Clock(1)
        trainer.add_callback(clock)
        trainer.train()
        found[name] = (steps - 1) / (clock.ended - clock.started)
    return found | {"lengths": sorted({len(row) for row in dataset["input_ids"]})[:: max(1, len(dataset) // 4)]}


def _without_mask(batch: dict[str, Any]) -> dict[str, Any]:
    return batch | {"attention_mask": torch.ones_like(batch["attention_mask"])}


def attention(toy: bool) -> dict[str, Any]:
    """Milliseconds of causal attention forward and backward, with 32 heads and 8 of keys and values, by kernel and head width:
    the median of ten passes at one length, and the mean of first passes at 8 new lengths (a kernel may be planned for each)."""
    device, rows = ("cpu", 256) if toy or not torch.cuda.is_available() else ("cuda", 8192)
    kernels = [SDPBackend.MATH] if device == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION]

    def milliseconds(length: int, width: int) -> float:
        query, key, value = (
            torch.randn(1, heads, length, width, device=device, dtype=torch.bfloat16, requires_grad=True)
            for heads in (32, 8, 8)
        )
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        out = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        out.backward(torch.ones_like(out))
        if device == "cuda":
            torch.cuda.synchronize()
        return 1e3 * (time.perf_counter() - started)

    result: dict[str, Any] = {}
    for width in (64, 128):
        for kernel in kernels:
            with sdpa_kernel(kernel):
                again = sorted(milliseconds(rows, width) for _ in range(12))[5]
                new = [milliseconds(rows - 5 * index - 3, width) for index in range(8)]
            result[f"{kernel.name}, {width}"] = {"again": again, "new_lengths": sum(new) / len(new)}
    return result
