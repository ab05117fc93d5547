"""LoRA adapts what it can be merged into; a module that returns something else than a product with its weights is refused."""

import re
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from runs import LORA, SIZES, run_config, save_model
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    FalconConfig,
    Gemma3TextConfig,
    InklingTextConfig,
    LagunaConfig,
    Llama4TextConfig,
    LongcatFlashConfig,
    PhimoeConfig,
    PretrainedConfig,
)

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import finetune, lora_targets

EXPERTS = SIZES | {"num_local_experts": 2}


def vocabulary(tokenizer_from: Path) -> int:
    return len(AutoTokenizer.from_pretrained(tokenizer_from))


@pytest.mark.parametrize(
    ("config", "module"),
    [
        (
            Llama4TextConfig(**EXPERTS, intermediate_size_mlp=32, head_dim=8, interleave_moe_layer_step=1),
            "model.layers.0.feed_forward.router (Llama4Router)",
        ),
        (PhimoeConfig(**EXPERTS), "model.layers.0.mlp.router (PhimoeTopKRouter)"),
    ],
    ids=["llama4_text", "phimoe"],
)
def test_a_router_is_refused_and_the_modules_named_instead_train(
    tiny_model: Path, traces: Path, tmp_path: Path, config: PretrainedConfig, module: str
) -> None:
    config.vocab_size, config.pad_token_id = vocabulary(tiny_model), 0
    model = save_model(tmp_path / "model", tiny_model, config)
    options = LORA | {"lora_dropout": 0, "max_steps": 1, "router_aux_loss_coef": 0, "warmup_steps": None}
    with pytest.raises(UserError, match=rf"adapts {re.escape(module)}, .*set lora_target_modules to \w+") as refused:
        finetune.run(run_config(model, traces, tmp_path / "none", preflight=True, **options))
    assert not (tmp_path / "none").exists()
    instead = re.search(r"\[(.*)\]", str(refused.value))[1].split(", ")
    finetune.run(run_config(model, traces, tmp_path / "run", **options | {"lora_target_modules": instead}))
    before, after = load_file(model / "model.safetensors"), load_file(tmp_path / "run/model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed and not any("router" in name for name in changed)
    assert all(any(name in each for each in changed) for name in instead)


@pytest.mark.parametrize(
    ("config", "modules", "refused"),
    [
        (FalconConfig(**SIZES, vocab_size=64), "all-linear", None),
        (Gemma3TextConfig(**SIZES, vocab_size=64), ["embed_tokens"], None),
        (InklingTextConfig(**SIZES, vocab_size=64), ["embed_tokens"], r"embed_tokens \(InklingNormedEmbedding\).*name linear layers"),
    ],
    ids=["falcon", "gemma3_text", "inkling_text"],
)  # fmt: skip
def test_forward_passes_of_their_own(config: PretrainedConfig, modules: str | list[str], refused: str | None) -> None:
    """Falcon's linear layers and Gemma's scaled embedding compute what PEFT merges, Inkling's normalized embedding does not."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules=modules, task_type="CAUSAL_LM"))
    if refused is None:
        lora_targets.check_forward_passes(adapted)
    else:
        lora_targets.check_tied_embedding(adapted)  # Inkling's configuration says nothing of tied embeddings
        with pytest.raises(UserError, match=refused):
            lora_targets.check_forward_passes(adapted)


def test_an_adapter_that_the_model_never_calls_is_reported(
    tiny_model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """LongCat-Flash multiplies with the weights of its router's linear layer, and never calls the layer."""
    config = LongcatFlashConfig(
        vocab_size=vocabulary(tiny_model), hidden_size=16, ffn_hidden_size=32, num_layers=1, num_attention_heads=2, q_lora_rank=8,
        kv_lora_rank=8, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=8, head_dim=8, moe_topk=2, n_routed_experts=4, expert_ffn_hidden_size=8,
    )  # fmt: skip
    model = save_model(tmp_path / "model", tiny_model, config)
    finetune.run(
        run_config(model, traces, tmp_path / "run", **LORA | {"lora_dropout": 0, "max_steps": 1, "warmup_steps": None})
    )
    said = capsys.readouterr().out
    assert re.search(
        r"Warning: 1 of \d+ adapters had no part in the training, such as that of model\.layers\.0\.mlp\.router\.classifier: ",
        said,
    )


def test_an_adapter_that_peft_does_not_load_again_is_refused() -> None:
    """Laguna's shared experts: transformers' pattern for another name of theirs fits the name that PEFT saves."""
    config = LagunaConfig(**SIZES, vocab_size=64, head_dim=8, num_experts=2, moe_intermediate_size=8, shared_expert_intermediate_size=8)  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    says = r"adapts model\.layers\.1\.mlp\.shared_experts\.\w+_proj, whose .*, \[g_proj, k_proj, o_proj, q_proj, v_proj\] or"
    with pytest.raises(UserError, match=says):
        lora_targets.check_saved_names(adapted)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    lora_targets.check_saved_names(adapted)
