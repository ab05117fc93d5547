"""Frozen parameters: a tied embedding and its head stay as they were, take no optimizer state, and a run resumes."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import arguments, finetune, model_loading
from agentmerge_hub.training.preflight import memory_estimate

RECIPE = Path(__file__).parents[2] / "recipes/sft/tiny/base-all.yaml"


@pytest.fixture(scope="module")
def tied_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma 3 whose head is its embedding."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tied") / "model"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    Gemma3ForCausalLM(
        Gemma3TextConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=16, sliding_window=128, tie_word_embeddings=True,
        )
    ).save_pretrained(folder)  # fmt: skip
    tokenizer.save_pretrained(folder)
    return folder


def config(model: Path, traces: Path, out: Path, *patterns: str, **options: object) -> arguments.RunConfig:
    settings = {
        "model_name_or_path": model, "tokenizer_name_or_path": model, "dataset_name": traces, "output_dir": out,
        "max_steps": 4, "per_device_train_batch_size": 4, "checkpoint_samples": 8, "learning_rate": 1e-3, "bf16": True,
    } | options  # fmt: skip
    words = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    return arguments.parse_args(["--config", str(RECIPE), *words, "--freeze", *patterns])


def run(model: Path, traces: Path, out: Path, *patterns: str, **options: object) -> None:
    finetune.run(config(model, traces, out, *patterns, **options))


def test_a_frozen_embedding_is_not_touched(
    tied_model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "frozen"
    run(tied_model, traces, out, "embed_tokens")
    before, after = load_file(tied_model / "model.safetensors"), load_file(out / "model.safetensors")
    assert {name for name in before if before[name].equal(after[name])} == {"model.embed_tokens.weight"}
    trained = sum(tensor.numel() for name, tensor in before.items() if name != "model.embed_tokens.weight")
    total = sum(tensor.numel() for tensor in before.values())
    assert f"{trained / 1e6:,.1f}M of {total / 1e6:,.1f}M parameters are trained" in capsys.readouterr().out
    settings = json.loads((out / "manifest.json").read_text())["config"]
    assert settings["freeze"] == ["embed_tokens"] and settings["trained_parameters"] == trained
    state = torch.load(out / "checkpoint-2" / "optimizer.pt")["state"]
    assert sum(each["exp_avg"].numel() for each in state.values()) == trained

    # As if it had been killed after its first checkpoint.
    for name in ("manifest.json", "model.safetensors", "checkpoint-4/manifest.json"):
        (out / name).unlink()
    run(tied_model, traces, out, "embed_tokens")
    again = load_file(out / "model.safetensors")
    assert all(after[name].equal(again[name]) for name in after)
    shutil.rmtree(out)


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        (["embeddings"], "'embeddings' matches no parameter"),
        (["("], "is not a regular expression"),
        (["."], "leaves no parameter to train"),
    ],
)
def test_mistakes_in_freeze(tied_model: Path, traces: Path, tmp_path: Path, patterns: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        run(tied_model, traces, tmp_path / "out", *patterns, preflight=True)
    assert not (tmp_path / "out").exists()


def test_layers_below_all_trained_ones_keep_no_activations(tied_model: Path, traces: Path, tmp_path: Path) -> None:
    def memory(tokens: int, *patterns: str) -> float:
        run = config(tied_model, traces, tmp_path / "out", *patterns)
        model = model_loading.empty_model(run)
        return memory_estimate.estimate(model, run, 10, tokens // 10, labels=1, checkpoints=1, recomputed=0).memory

    whole, upper = (
        memory(20_000, "embed_tokens", *more) - memory(10_000, "embed_tokens", *more)
        for more in ((), (r"layers\.0\.",))
    )
    assert upper == pytest.approx(whole / 2)
    assert memory(20_000, r"layers\.0\.") - memory(10_000, r"layers\.0\.") == pytest.approx(whole)
