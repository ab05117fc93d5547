"""Configs must agree in what shapes the forward pass; names, versions, training settings and ways of writing may differ."""

import math

import pytest
from transformers import LlamaConfig, MptConfig, Qwen2Config

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.model_configs import check_one, check_same, has_own_code


def llama(**values: object) -> dict:
    config = LlamaConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4).to_dict()
    return config | {"architectures": ["LlamaForCausalLM"]} | values


def compare(config: dict, base: dict) -> None:
    check_one(config, "agent")
    check_same({"base": base, "agent": config}, "base")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rope_parameters", {"rope_type": "default", "rope_theta": 1e6}),
        ("rope_parameters", {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}),
        ("num_key_value_heads", 2),
        ("hidden_act", "gelu"),
        ("rms_norm_eps", 1e-5),
        ("attention_bias", True),
        ("head_dim", 16),
        ("tie_word_embeddings", True),
        ("num_hidden_layers", 3),
    ],
)
def test_what_shapes_the_forward_pass_must_agree(key: str, value: object) -> None:
    with pytest.raises(UserError, match=f"agent does not fit base: its .*{key}.* is .*, not .*"):
        compare(llama(**{key: value}), llama())


@pytest.mark.parametrize(
    "values",
    [
        {
            "use_cache": False,
            "transformers_version": "4.44.0",
            "_name_or_path": "somewhere/else",
            "torch_dtype": "float16",
        },
        {"eos_token_id": 7, "pad_token_id": 3, "vocab_size": 40_000},
        {"attention_dropout": 0.1, "initializer_range": 0.1},
        {"max_position_embeddings": 4096},
        {"unsloth_version": "2026.1"},
    ],
    ids=["names", "tokens", "training", "longest input", "unknown to the class"],
)
def test_what_shapes_nothing_may_differ(values: dict) -> None:
    compare(llama(**values), llama())


def test_one_setting_written_in_two_ways_is_one_setting() -> None:
    older = llama()
    older["rope_theta"] = older.pop("rope_parameters")["rope_theta"]
    compare(older | {"rope_scaling": None}, llama())
    with pytest.raises(UserError, match="rope"):
        compare(older | {"rope_theta": 5e5}, llama())
    left_out = llama()
    del left_out["rms_norm_eps"]  # the default
    compare(left_out, llama())


def test_a_window_counts_only_where_it_is_used() -> None:
    base = Qwen2Config(num_hidden_layers=2).to_dict() | {"architectures": ["Qwen2ForCausalLM"]}
    compare(base | {"sliding_window": 77, "max_window_layers": 1}, base)
    other = base | {"use_sliding_window": True, "sliding_window": 77}
    with pytest.raises(UserError, match=r"sliding_window|layer_types"):
        compare(other, base)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "brand_new"}, "transformers does not know"),
        (
            {"quantization_config": {"quant_method": "fp8"}},
            "has a quantization_config: merging needs the weights before",
        ),
        ({"hidden_size": "wide"}, "not accepted by transformers"),
        ({"num_attention_heads": 0}, "not accepted by transformers"),
        ({"rope_parameters": {"rope_theta": math.nan}}, "has NaN as its rope_parameters.rope_theta"),
        ({"architectures": 5}, "names no model class: its architectures is 5"),
        ({"architectures": ["OtherForCausalLM"]}, "architectures is OtherForCausalLM, not LlamaForCausalLM"),
    ],
)
def test_a_config_that_cannot_be_compared_is_refused(values: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        compare(llama(**values), llama())


def test_nested_configs_are_compared_key_by_key() -> None:
    base = MptConfig(d_model=32, n_layers=2, n_heads=4).to_dict() | {"architectures": ["MptForCausalLM"]}
    attention = base["attn_config"]
    compare(base | {"attn_config": attention | {"dtype": "float32"}}, base)
    with pytest.raises(UserError, match=r"its attn_config\.alibi is False, not True"):
        compare(base | {"attn_config": attention | {"alibi": False}}, base)


def test_own_code_is_named_unless_transformers_has_the_class() -> None:
    auto_map = {"AutoModelForCausalLM": "modeling.Model"}
    assert not has_own_code(llama(auto_map=auto_map))
    assert has_own_code({"architectures": ["OtherForCausalLM"], "auto_map": auto_map})
