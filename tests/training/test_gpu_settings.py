"""What differs on a GPU: the memory that a run takes there and on a CPU, and the kernel of its attention."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    PretrainedConfig,
    Qwen3Config,
)
from transformers.modeling_layers import GradientCheckpointingLayer

from agentmerge_hub.training import attention_kernel, frozen_weights
from agentmerge_hub.training.arguments import RunConfig, parse_args
from agentmerge_hub.training.preflight import memory_estimate

LORA = {"use_peft": True, "lora_r": 16, "lora_target_modules": "all-linear"}
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    settings = type(settings_of().sft)
    monkeypatch.setattr(settings, "device", property(lambda _self: torch.device("cuda")))


def settings_of(**options: Any) -> RunConfig:
    given = {
        "model_name_or_path": "m",
        "dataset_name": "d",
        "output_dir": "out",
        "bf16": True,
        "use_cpu": True,
    } | options
    return parse_args([word for key, value in given.items() for word in (f"--{key}", str(value))])


@pytest.mark.parametrize(
    ("shape", "options", "checkpointing", "peak"),
    [
        ("1b", {}, True, 21.15),
        ("1b", {}, False, 35.30),
        ("1b", {"use_liger_kernel": True}, False, 30.89),
        ("3b", {}, True, 53.26),
        ("3b", {"use_liger_kernel": True}, False, 74.12),
        ("8b", LORA, True, 41.04),
        ("8b", LORA | {"use_liger_kernel": True}, True, 40.81),
    ],
)
@pytest.mark.usefixtures("on_a_gpu")
def test_the_estimate_is_near_the_peak_that_was_measured(
    shape: str, options: dict[str, Any], checkpointing: bool, peak: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row of 8,186 tokens, 282 of them trained, on an H100; in GB. All weights were in float32."""
    from gpu_inputs import model_config

    monkeypatch.setattr(frozen_weights, "bfloat16_weights", lambda *_: ())
    config = settings_of(**options)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(model_config(shape))
        if config.peft:
            model = get_peft_model(model, config.peft)
    needed = (
        memory_estimate.estimate(model, config, 1, 8186, 282, 1, model.config.num_hidden_layers * checkpointing).memory
        / 1e9
    )
    assert needed == pytest.approx(peak, rel=0.05)


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize("architecture", [LlamaConfig, Gemma3TextConfig, Qwen3Config])
@pytest.mark.parametrize("options", [{}, LORA | {"lora_dropout": 0.0}], ids=["full", "lora"])
def test_a_layer_keeps_what_is_estimated(options: dict[str, Any], architecture: type[PretrainedConfig]) -> None:
    """Bytes that autograd saves of a layer under autocast, which does not depend on the device but for dropout's masks."""
    config, tokens, kept = settings_of(**options), 96, {}
    sizes = {
        "hidden_size": 256, "intermediate_size": 896, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 64,
    }  # fmt: skip
    config_of = architecture(vocab_size=32, num_hidden_layers=1, pad_token_id=0, **sizes)
    model: Any = AutoModelForCausalLM.from_config(config_of)
    if config.peft:
        model = get_peft_model(model, config.peft)
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    copies = {shape for each in model.parameters() for shape in (each.shape, each.shape[::-1])}
    (layer,) = (each for each in model.modules() if isinstance(each, GradientCheckpointingLayer))
    forward = layer.forward

    def save(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights and tensor.shape not in copies:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def watched(*args: Any, **kwargs: Any) -> Any:
        with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
            return forward(*args, **kwargs)

    layer.forward = watched
    with torch.autocast("cpu", torch.bfloat16):
        model(input_ids=torch.zeros((1, tokens), dtype=torch.long))
    saved = sum(each.untyped_storage().nbytes() for each in kept.values())
    assert saved == pytest.approx(memory_estimate._activations(model, config, layer, 1, tokens)[0], rel=0.05)


@pytest.mark.parametrize(
    ("architecture", "peak"),
    [(LlamaConfig, 2.03), (Phi3Config, 2.16), (GPT2Config, 3.47)],  # GPT-2 has dropout in its attention
)
def test_the_estimate_on_a_cpu_is_near_the_peak_that_was_measured(
    architecture: type[PretrainedConfig], peak: float
) -> None:
    """Two steps of two rows of 1,276 tokens in float32; the resident set of the process, in GB."""
    sizes = {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "vocab_size": 32768}
    inner = {} if architecture is GPT2Config else {"intermediate_size": 1408, "pad_token_id": 2}
    if architecture is LlamaConfig:
        inner["num_key_value_heads"] = 4
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(architecture(**sizes, **inner))
    needed = memory_estimate.estimate(model, settings_of(bf16=False), 2, 1276, 96, 0, recomputed=0).memory / 1e9
    assert needed == pytest.approx(peak, rel=0.15)


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize(
    ("options", "environment", "recomputed", "estimated"),
    [
        # In GB: weights + two moments + gradients, 16 bytes of 8.03 billion parameters, and 2.3 of a layer and its inputs.
        ({}, {}, 32, 130.8),
        # An eighth of each; beside them the inputs of 32 layers, the copies of the weights in bfloat16, and the logits.
        ({}, {"WORLD_SIZE": "8", "ACCELERATE_USE_FSDP": "true"}, 32, 21.5),
        # Another copy of the gradients in buckets.
        ({}, {"WORLD_SIZE": "8"}, 32, 162.9),
        # 8.03 billion parameters are loaded in float32; the training takes 25 of it.
        (LORA, {}, 32, 32.4),
        # 7.5 billion parameters in bfloat16, the embedding in float32 and 42 million trained ones: 17.8; 28 layers of 2.1 and
        # the inputs of 4 others: 59.4; logits and buffers: 0.9.
        (LORA, {}, 4, 78.1),
        # Embedding and output layer in float32: 4.2; the rest in 4 bits, 3.9, or in 8 bits, 7.3; the same activations.
        (LORA | {"load_in_4bit": True}, {}, 32, 15.8),
        (LORA | {"load_in_8bit": True}, {}, 32, 19.3),
    ],
    ids=["full", "fsdp", "ddp", "lora", "lora, 28 layers kept", "4 bits", "8 bits"],
)
def test_the_estimate_is_near_a_computation_by_hand(
    options: dict[str, Any],
    environment: dict[str, str],
    recomputed: int,
    estimated: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gpu_inputs import model_config

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = settings_of(**options)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(model_config("8b"))
        if config.peft:
            model = get_peft_model(model, config.peft)
    needed = memory_estimate.estimate(model, config, 1, 8192, 300, 1, recomputed).memory / 1e9
    assert needed == pytest.approx(estimated, rel=0.03)


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize(
    ("options", "recomputed", "in_gb", "hint"),
    [
        (
            {},
            4,
            (36, 30, 24, 18, 12),
            "activation_checkpointing: false would take about 36.0 GB of the GPU's 85.0 GB and save 25 %",
        ),
        (
            {},
            4,
            (84, 80, 76, 72, 70),
            "recomputed_layers: 2 would take about 76.0 GB of the GPU's 85.0 GB and save 12 %",
        ),
        (
            LORA,
            4,
            (84, 80, 76, 72, 70),
            "recomputed_layers: 2 would take about 76.0 GB of the GPU's 85.0 GB and save 17 %",
        ),
        ({}, 2, (84, 80, 76, 72, 70), None),  # as few as fit
        ({}, 0, (84, 80, 76, 72, 70), None),
        ({}, 4, (99, 98, 97, 96, 95), None),
        ({"use_cpu": True}, 4, (36, 30, 24, 18, 12), None),
    ],
)
def test_a_gpu_that_could_keep_more_activations_is_told(
    options: dict[str, Any],
    recomputed: int,
    in_gb: tuple[float, ...],
    hint: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = settings_of(**options)
    if "use_cpu" in options:
        monkeypatch.setattr(type(config.sft), "device", property(lambda _self: torch.device("cpu")))
    found = memory_estimate.checkpointing_hint(config, recomputed, [each * 1e9 for each in in_gb], available=85e9)
    assert found == (hint and f"Note: {hint.replace(' %', '%')} of the operations")


def test_cudnn_attends_only_where_lengths_repeat() -> None:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    try:
        attention_kernel.choose([100, 200, 100, 200], batches=8)
        assert torch.backends.cuda.cudnn_sdp_enabled()
        attention_kernel.choose([100, 200, 300, 400], batches=8)
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        attention_kernel.choose([100, 200, 300, 400], batches=8, multiple=256)  # two lengths
        assert torch.backends.cuda.cudnn_sdp_enabled()
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def test_a_run_that_nearly_fills_a_gpu_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_estimate, "available_memory", lambda: (85.0e9, "GPU"))
    nearly = memory_estimate.Estimate(
        82.6e9, (82.6e9, 82e9), disk=0.0, checkpoints=0
    )  # this run ended in "out of memory"
    assert "85.0 GB: lower per_device_train_batch_size" in str(memory_estimate.memory_warning(nearly))
    fits = memory_estimate.Estimate(99e9, (99e9, 87e9, 75e9, 63e9), disk=0.0, checkpoints=0)
    assert "set activation_checkpointing: true and recomputed_layers: 2, lower" in str(
        memory_estimate.memory_warning(fits)
    )
    assert memory_estimate.memory_warning(memory_estimate.Estimate(44.4e9, (), disk=0.0, checkpoints=0)) is None
