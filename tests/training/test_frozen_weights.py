"""LoRA with its frozen linear layers in bfloat16: the run is the one in float32, bit for bit."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from peft.tuners.lora import LoraLayer
from runs import LORA, SIZES, run_config, save_model
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Gemma3TextConfig, LlamaConfig, PretrainedConfig, Qwen3Config

from agentmerge_hub.training import finetune, frozen_weights, model_loading, rows
from agentmerge_hub.training.trainer import new_trainer

BF16 = LORA | {"bf16": True}


def stored_as(model: Path, dtype: torch.dtype) -> None:
    weights = {name: each.to(dtype) for name, each in load_file(model / "model.safetensors").items()}
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def what_it_wrote(run: Path) -> dict[str, Any]:
    """Losses, norms of gradients and scores, the optimizer's moments, adapters and the merged model."""
    state = run / "checkpoint-4/trainer_state.json"
    log = [
        {key: entry[key] for key in ("loss", "grad_norm", "eval_loss") if key in entry}
        for entry in json.loads(state.read_text())["log_history"]
    ]
    found: dict[str, Any] = {"log": log, "moments": torch.load(run / "checkpoint-4/optimizer.pt")["state"]}
    return found | {str(path.relative_to(run)): load_file(path) for path in run.rglob("*.safetensors")}


@pytest.mark.parametrize(
    ("architecture", "dtype", "dropout", "settings"),
    [
        (LlamaConfig, torch.bfloat16, 0.0, {"tie_word_embeddings": False, "attention_bias": True}),
        (Qwen3Config, torch.float32, 0.0, {"tie_word_embeddings": True, "head_dim": 8}),
        (Gemma3TextConfig, torch.bfloat16, 0.1, {"head_dim": 8, "sliding_window": 64}),
    ],
    ids=["llama", "qwen3", "gemma3 with dropout"],
)
def test_a_run_is_the_one_with_float32_weights(
    architecture: type[PretrainedConfig], dtype: torch.dtype, dropout: float, settings: dict[str, Any],
    tiny_model: Path, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    config = architecture(vocab_size=len(AutoTokenizer.from_pretrained(tiny_model)), **SIZES, **settings)
    model = save_model(tmp_path / "model", tiny_model, config)
    stored_as(model, dtype)
    options = BF16 | {
        "lora_dropout": dropout,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "dataset_test_split": "inter_task",
    }
    finetune.run(run_config(model, traces, tmp_path / "bfloat16", likelihood_samples=2, **options))
    monkeypatch.setattr(frozen_weights, "bfloat16_weights", lambda *_: ())
    finetune.run(run_config(model, traces, tmp_path / "float32", likelihood_samples=2, **options))
    ours, plain = what_it_wrote(tmp_path / "bfloat16"), what_it_wrote(tmp_path / "float32")
    assert {"loss", "grad_norm", "eval_loss"} == {key for entry in plain["log"] for key in entry}
    assert {str(each.dtype) for each in ours["model.safetensors"].values()} == {"torch.float32"}
    torch.testing.assert_close(ours, plain, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "in_bfloat16"),
    [
        (BF16, {"q_proj.base_layer", "k_proj.base_layer", "down_proj.base_layer", "lm_head"}),
        (BF16 | {"lora_dropout": 0.0}, {"q_proj.base_layer", "lm_head"}),
        (BF16 | {"lora_target_modules": "q_proj", "freeze": "lora_A"}, {"q_proj.base_layer", "k_proj", "lm_head"}),
        (BF16 | {"bf16": False}, set()),
        (BF16 | {"use_dora": True}, set()),
        (BF16 | {"dtype": "bfloat16"}, None),
        ({"bf16": True}, set()),
    ],
    ids=["all", "no dropout", "some", "no autocast", "dora", "all weights in bfloat16", "no adapter"],
)
def test_what_is_kept_in_bfloat16(
    options: dict[str, Any], in_bfloat16: set[str] | None, tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    config = run_config(save_model(tmp_path / "model", tiny_model), traces, tmp_path / "run", **options)
    tokenizer, template = model_loading.load_tokenizer(config)
    dataset = rows.tokenize(load_dataset(str(traces), "all", split="inter_task"), tokenizer, template, None)
    model = new_trainer(config, tokenizer, dataset, []).model
    assert model
    of_type = {
        dtype: {name for name, each in model.named_parameters() if each.dtype is dtype}
        for dtype in (torch.bfloat16, torch.float32)
    }
    assert all("lora_" in name for name in of_type[torch.float32]) == (in_bfloat16 is None)
    if in_bfloat16 is not None:
        assert not any("norm" in name or "embed" in name or "lora_" in name for name in of_type[torch.bfloat16])
        assert bool(of_type[torch.bfloat16]) == bool(in_bfloat16)
        for module in in_bfloat16:
            assert any(name.endswith(f"{module}.weight") for name in of_type[torch.bfloat16]), module
    casts = {each.cast_input_dtype_enabled for each in model.modules() if isinstance(each, LoraLayer)}
    assert casts == ({options.get("lora_dropout") != 0.0} if config.peft else set())


def test_a_resumed_run_is_the_uninterrupted_one(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    config = run_config(save_model(tmp_path / "model", tiny_model), traces, tmp_path / "run", **BF16)
    finetune.run(config)
    whole = what_it_wrote(tmp_path / "run")
    for name in ("checkpoint-4", "adapter"):
        shutil.rmtree(tmp_path / "run" / name)
    (tmp_path / "run/manifest.json").unlink()
    finetune.run(run_config(tmp_path / "model", traces, tmp_path / "run", **BF16))
    torch.testing.assert_close(what_it_wrote(tmp_path / "run"), whole, rtol=0, atol=0)
