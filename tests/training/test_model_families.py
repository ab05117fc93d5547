"""Models whose layers or configurations differ from Llama's train as they do under TRL alone, or are refused."""

import json
from pathlib import Path

import pytest
from runs import SIZES, run_config, save_model
from transformers import AutoTokenizer, GPT2Config, MixtralConfig

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import finetune


def logged(run: Path, figure: str) -> list[float]:
    (state,) = run.glob("checkpoint-*/trainer_state.json")
    return [entry[figure] for entry in json.loads(state.read_text())["log_history"] if figure in entry]


def test_a_mixture_of_experts_trains_with_its_routers_loss(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    experts = MixtralConfig(vocab_size=vocabulary, **SIZES, num_local_experts=4, num_experts_per_tok=2)
    experts.router_aux_loss_coef = 0.5
    model = save_model(tmp_path / "model", tiny_model, experts)
    losses = {}
    for coefficient in (0.5, 0.0):
        out = tmp_path / f"run-{coefficient}"
        finetune.run(run_config(model, traces, out, max_steps=2, router_aux_loss_coef=coefficient))
        losses[coefficient] = logged(out, "loss")[0]
    (first, _) = logged(tmp_path / "run-0.5", "aux_loss")
    assert first > 0.9  # balanced experts give 1, or 2 with two of them a token
    assert losses[0.5] - losses[0.0] == pytest.approx(0.5 * first, rel=0.05)


def test_gpt2_whose_configuration_has_other_names_trains(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_model))
    small = GPT2Config(
        vocab_size=vocabulary, n_embd=16, n_layer=2, n_head=2, n_positions=512, bos_token_id=0, eos_token_id=1
    )
    model = save_model(tmp_path / "model", tiny_model, small)
    finetune.run(run_config(model, traces, tmp_path / "run", max_steps=2, likelihood_samples=2))
    assert (tmp_path / "run/model.safetensors").is_file() and (
        tmp_path / "run/checkpoint-2/likelihood.parquet"
    ).is_file()
    short = GPT2Config(vocab_size=vocabulary, n_embd=16, n_layer=2, n_head=2, n_positions=64)
    with pytest.raises(UserError, match="has 64 positions"):
        finetune.run(run_config(save_model(tmp_path / "short", tiny_model, short), traces, tmp_path / "none"))


def test_a_token_beyond_the_embedding_is_refused(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "model", tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.add_special_tokens({"eos_token": "<|new_end|>"})
    tokenizer.chat_template = tokenizer.chat_template.replace("<|end|>", "<|new_end|>")
    tokenizer.save_pretrained(model)
    with pytest.raises(
        UserError,
        match=rf"has {len(tokenizer) - 1} embedding rows and the tokenizer gives the token id {len(tokenizer) - 1}",
    ):
        finetune.run(run_config(model, traces, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
