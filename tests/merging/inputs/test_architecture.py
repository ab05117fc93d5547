"""Layers, vocabulary tensors and layouts come from mergekit's definitions and the config, not from Llama's names."""

import pytest

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.architecture import architecture_of, is_buffer

GPT2 = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_layer": 3, "vocab_size": 50}
NEOX = {"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "num_hidden_layers": 3, "vocab_size": 50}
GEMMA3 = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": {"num_hidden_layers": 5, "vocab_size": 50},
    "vision_config": {"num_hidden_layers": 3},
}
MIXTRAL = {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "num_hidden_layers": 2, "vocab_size": 50}
UNKNOWN = {"architectures": ["BrandNewForCausalLM"], "model_type": "brand_new", "num_layers": 3, "vocab_size": 50}


@pytest.mark.parametrize(
    ("config", "names", "depths"),
    [
        (GPT2, ["transformer.wte.weight", "transformer.h.0.ln_1.weight", "transformer.h.2.ln_1.weight"], [0, 0, 1]),
        (GPT2, ["wte.weight", "h.1.mlp.c_fc.bias", "ln_f.bias"], [0, 0.5, 0]),
        (NEOX, ["gpt_neox.layers.1.mlp.dense_h_to_4h.weight", "embed_out.weight"], [0.5, 0]),
        (
            GEMMA3,
            [
                "language_model.model.layers.3.self_attn.q_proj.weight",
                "vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight",
                "multi_modal_projector.mm_soft_emb_norm.weight",
            ],
            [0.75, 0.5, 0],
        ),
        (UNKNOWN, ["net.block.0.w", "net.block.1.w", "net.block.2.w", "head.w"], [0, 0.5, 1, 0]),
        (GPT2 | {"n_layer": 1}, ["transformer.wte.weight", "transformer.h.0.ln_1.weight"], [0, 1]),
        (UNKNOWN | {"num_layers": 1}, ["net.block.0.w", "head.w"], [1, 0]),
    ],
    ids=[
        "gpt2",
        "gpt2 without its prefix",
        "gpt-neox",
        "two modules",
        "not defined, counted",
        "one layer",
        "one layer, not defined",
    ],
)
def test_a_tensor_has_the_depth_of_its_layer(config: dict, names: list[str], depths: list[float]) -> None:
    architecture = architecture_of(config, dict.fromkeys(names, (4,)))
    assert [architecture.depth(name) for name in names] == depths


@pytest.mark.parametrize("missing", ["net.block.1.w", "net.block.5.w", "net.block.7.w"])
def test_a_layer_that_cannot_be_found_is_an_error_not_a_zero(missing: str) -> None:
    architecture = architecture_of(UNKNOWN, dict.fromkeys(["net.block.0.w", missing], (4,)))
    with pytest.raises(UserError, match=r"the layer of net\.block.* cannot be found in BrandNewForCausalLM"):
        architecture.depth(missing)


def test_layers_that_predict_further_tokens_are_beyond_those_of_the_config() -> None:
    config = {"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "num_hidden_layers": 2}
    shapes = {f"model.layers.{layer}.input_layernorm.weight": (4,) for layer in range(3)}
    assert architecture_of(config, shapes).other_layers == (2, 3)
    assert architecture_of(config | {"num_nextn_predict_layers": 1}, shapes).other_layers is None


def test_the_vocabulary_tensors_are_found_where_the_config_says() -> None:
    assert architecture_of(GPT2, {"transformer.wte.weight": (50, 4)}).vocabulary == {"transformer.wte.weight"}
    gemma = architecture_of(GEMMA3, {"language_model.model.embed_tokens.weight": (50, 4), "other.weight": (50, 4)})
    assert gemma.vocabulary == {"language_model.model.embed_tokens.weight"}
    assert gemma.vocabulary_key == "text_config.vocab_size" and "processor_config.json" in gemma.processor_files
    unknown = architecture_of(UNKNOWN, {"tok_embeddings.weight": (50, 4), "pos.wte.weight": (9, 4)})
    assert unknown.vocabulary == {"tok_embeddings.weight"}


def test_experts_that_mergekit_fuses_are_another_layout() -> None:
    fused = {"model.layers.0.mlp.experts.gate_up_proj": (4, 8, 4)}
    apart = {"model.layers.0.block_sparse_moe.experts.0.w1.weight": (8, 4)}
    assert architecture_of(MIXTRAL, fused).same_names and not architecture_of(MIXTRAL, apart).same_names
    assert not architecture_of(MIXTRAL, fused).separate_experts and architecture_of(MIXTRAL, apart).separate_experts
    assert architecture_of(UNKNOWN, {"net.block.0.experts.1.w": (4,)}).separate_experts


def test_experts_of_some_layers_are_lost_where_mergekit_infers_the_layers() -> None:
    every = {f"net.block.{layer}.experts.{expert}.w": (4,) for layer in range(2) for expert in range(2)}
    assert not architecture_of(UNKNOWN, every).lost_experts
    assert architecture_of(UNKNOWN, every | {"net.block.2.mlp.w": (4,)}).lost_experts
    assert not architecture_of(MIXTRAL, {"model.layers.0.block_sparse_moe.experts.0.w1.weight": (4,)}).lost_experts


@pytest.mark.parametrize(
    ("name", "shape", "buffer"),
    [
        ("model.layers.0.self_attn.rotary_emb.inv_freq", (4,), True),
        ("transformer.h.0.attn.bias", (1, 1, 8, 8), True),
        ("transformer.h.0.attn.bias", (8,), False),
        ("transformer.h.0.attn.masked_bias", (), True),
        ("embeddings.position_ids", (1, 8), True),
        ("model.layers.0.self_attn.q_proj.bias", (8,), False),
    ],
)
def test_buffers_are_distinguished_from_weights(name: str, shape: tuple[int, ...], buffer: bool) -> None:
    assert is_buffer(name, shape) == buffer
