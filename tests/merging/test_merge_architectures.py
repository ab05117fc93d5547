"""Models beyond Llama, and what stored models carry besides: merged as mergekit merges them, or refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from models_by_role import ROLES, save_roles
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    MixtralConfig,
    PreTrainedConfig,
)

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.chat_templates import template_of
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.verify import verify
from agentmerge_hub.package_data import data_folder

RECIPES = data_folder("recipes") / "merge"


def recipe(method: str) -> specs.Spec:
    spec = specs.read(RECIPES / f"{method}.yml")
    # Absolute: mergekit keeps what it read by path, for as long as its process lasts.
    return specs.with_values(spec, {role: str(Path(role).absolute()) for role in ROLES if role in spec.names}, method)


def run(spec: specs.Spec, out: str, **settings: object) -> dict[str, torch.Tensor]:
    merge_one(MergeJob(spec, Path(out), "spec"), MergeSettings(reply=False, **settings))
    return loaded(out)


def loaded(folder: str) -> dict[str, torch.Tensor]:
    """The weights as transformers loads them, nothing missing."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    return model.state_dict()


def by_mergekit(spec: specs.Spec, out: str) -> dict[str, torch.Tensor]:
    options = MergeOptions(write_model_card=False, quiet=True)
    run_merge(MergeConfiguration.model_validate(yaml.safe_load(spec.text)), out, options)
    Path(out, "mergekit_config.yml").write_text(spec.text)
    return loaded(out)


def make(config: PreTrainedConfig, tokenizer_folder: Path) -> None:
    """base, agent and instruct of a config, near each other."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config.vocab_size, config.eos_token_id = len(tokenizer), tokenizer.eos_token_id
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    save_roles(model, tokenizer)


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


def refuses_swapped_tokens(merged: Path) -> None:
    content = json.loads((merged / "tokenizer.json").read_text())
    ids = content["model"]["vocab"]
    ids["a"], ids["b"] = ids["b"], ids["a"]
    (merged / "tokenizer.json").write_text(json.dumps(content))
    (merged / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"its vocabulary is not that of|tokenizer\.json has another model than"):
        verify(merged, reply=False)


def test_lists_by_layer_follow_the_architecture(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(GPT2Config(n_embd=16, n_layer=3, n_head=2, n_positions=64), tokenizer_folder)
    for role in ROLES:  # as older versions stored them
        weights = load_file(f"{role}/model.safetensors")
        weights["transformer.h.0.attn.bias"] = torch.ones(1, 1, 4, 4, dtype=torch.bool)
        save_file(weights, f"{role}/model.safetensors", metadata={"format": "pt"})
    assert equal(run(recipe("lines"), "ours"), by_mergekit(recipe("lines"), "theirs"))
    assert "transformer.h.0.attn.bias" not in load_file("ours/model.safetensors")
    verify(Path("theirs"), {}, reply=False)


def test_fused_experts_are_merged_and_proven_in_both_layouts(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    make(MixtralConfig(**sizes, num_key_value_heads=1, num_local_experts=2), tokenizer_folder)
    for method in ("agentmerge", "ties"):
        assert equal(run(recipe(method), f"ours-{method}"), by_mergekit(recipe(method), f"theirs-{method}"))
        verify(Path(f"theirs-{method}"), {}, reply=False)
        verify(Path(f"ours-{method}"), {}, reply=False)
        assert "mergekit-yaml" not in Path(f"ours-{method}/README.md").read_text()  # it names experts otherwise


def test_a_tied_head_stored_twice_and_buffers_are_left_out(here: Path, llama: Callable[..., Path]) -> None:
    for seed, role in enumerate(ROLES):
        llama(Path("tied", role), seed=seed, tied=True)
    spec = specs.with_values(recipe("agentmerge"), {role: f"./tied/{role}" for role in ROLES}, "spec")
    plain = run(spec, "plain")
    assert equal(run(specs.with_values(spec, {"base": "tied/base"}, "spec"), "bare"), plain)
    weights = load_file("tied/agent/model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(weights, "tied/agent/model.safetensors", metadata={"format": "pt"})
    assert equal(run(spec, "twice"), plain)
    said = "`mergekit-yaml mergekit_config.yml OUT` makes the same weights"
    said_by = [name for name in ("plain", "bare", "twice") if said in Path(name, "README.md").read_text()]
    assert said_by == ["plain"]  # mergekit-yaml looks for tied/base on the Hub, and takes a head that is stored twice


def test_padded_rows_are_trimmed_to_the_tokens_or_padded_as_mergekit_does(here: Path) -> None:
    weights = load_file("agent/model.safetensors")
    rows, tokens = len(weights["lm_head.weight"]) + 30, len(weights["lm_head.weight"])
    for name in ("lm_head.weight", "model.embed_tokens.weight"):
        weights[name] = torch.cat([weights[name], torch.randn(30, weights[name].shape[1])])
    plain = run(recipe("agentmerge"), "plain")
    save_file(weights, "agent/model.safetensors", metadata={"format": "pt"})
    config = json.loads(Path("agent/config.json").read_text())
    Path("agent/config.json").write_text(json.dumps(config | {"vocab_size": rows}))
    assert equal(run(recipe("agentmerge"), "trimmed"), plain)
    text = recipe("agentmerge").text
    source = "tokenizer_source: *instruct"
    assert source in text
    padded = specs.parse(text.replace(source, "tokenizer:\n  source: *instruct\n  pad_to_multiple_of: 64"), "spec")
    found = run(padded, "padded")
    assert len(found["lm_head.weight"]) % 64 == 0 and torch.equal(
        found["lm_head.weight"][:tokens], plain["lm_head.weight"]
    )
    verify(Path("padded"), {}, reply=False)
    refuses_swapped_tokens(Path("padded"))


def test_a_merge_brings_what_its_inputs_have_beside_the_weights(here: Path) -> None:
    for role in ROLES:
        code = {"image_size": 28, "auto_map": {"AutoImageProcessor": "processing.Processor"}}
        Path(role, "preprocessor_config.json").write_text(json.dumps(code))
        config = json.loads(Path(role, "config.json").read_text())
        auto_map = {"AutoModelForCausalLM": "modeling.LlamaForCausalLM"}
        Path(role, "config.json").write_text(json.dumps(config | {"auto_map": auto_map}))
    template = Path("instruct/chat_template.jinja").read_text()
    named = [{"name": "tools", "template": "tools"}, {"name": "default", "template": template}]
    for role in ("instruct", "agent"):
        Path(role, "chat_template.jinja").unlink()
        config = json.loads(Path(role, "tokenizer_config.json").read_text())
        code = {"auto_map": {"AutoTokenizer": [None, "tokenization.Tokenizer"]}}
        Path(role, "tokenizer_config.json").write_text(json.dumps(config | code | {"chat_template": named}))
    for method in ("agentmerge", "slerp"):
        run(recipe(method), method, shard_bytes=30_000)
        for name in ("config.json", "tokenizer_config.json", "preprocessor_config.json"):
            assert "auto_map" not in json.loads(Path(method, name).read_text())
        assert len(list(Path(method).glob("*.safetensors"))) > 1
        assert template_of(Path(method)) == template
        verify(Path(method), {}, reply=False)
    index = Path("agentmerge/model.safetensors.index.json")
    for lie, said in (({"total_size": 5}, "says total_size 5, and the"), ({"license": "mit"}, "has license in its")):
        Path("agentmerge/manifest.json").unlink(missing_ok=True)
        index.write_text(json.dumps(json.loads(index.read_text()) | {"metadata": lie}))
        with pytest.raises(UserError, match=said):
            verify(Path("agentmerge"), reply=False)


@pytest.mark.parametrize(("method", "ranges"), [("task_arithmetic", [[0, 1]]), ("passthrough", [[0, 2], [1, 2]])])
def test_slices_give_fewer_or_more_layers_and_are_proven(here: Path, method: str, ranges: list[list[int]]) -> None:
    def source(name: str, layers: list[int]) -> dict[str, object]:
        weight = {"parameters": {"weight": 0.5}} if method == "task_arithmetic" else {}
        return {"model": str(here / name), "layer_range": layers, **weight}

    names = ("base", "instruct", "agent") if method == "task_arithmetic" else ("agent",)
    config = {
        "merge_method": method,
        "base_model": str(here / "base"),
        "slices": [{"sources": [source(name, layers) for name in names]} for layers in ranges],
        "tokenizer_source": str(here / "instruct"),
        "dtype": "float32",
    }
    spec = specs.parse(yaml.safe_dump(config), "spec")
    ours, theirs = run(spec, "ours"), by_mergekit(spec, "theirs")
    assert ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)
    layers = sum(end - begin for begin, end in ranges)
    assert json.loads(Path("ours/config.json").read_text())["num_hidden_layers"] == layers
    assert sum(name.endswith("down_proj.weight") for name in ours) == layers
    verify(Path("ours"))
    verify(Path("theirs"))
    config = json.loads(Path("theirs/config.json").read_text())
    Path("theirs/config.json").write_text(json.dumps(config | {"num_hidden_layers": 7}))
    Path("theirs/manifest.json").unlink()
    with pytest.raises(UserError, match=r"num_hidden_layers|is missing"):
        verify(Path("theirs"))


def test_a_union_on_a_base_without_a_chat_template_has_the_instruct_models(here: Path) -> None:
    assert template_of(Path("base")) is None
    config = yaml.safe_load(recipe("agentmerge").text)
    del config["tokenizer_source"]
    spec = specs.parse(yaml.safe_dump(config | {"tokenizer": {"source": "union"}}), "spec")
    ours, theirs = run(spec, "ours"), by_mergekit(spec, "theirs")
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert template_of(Path("theirs")) is None
    verify(Path("ours"))
    verify(Path("theirs"))
    assert template_of(Path("ours")) == template_of(Path("theirs")) == template_of(Path("instruct"))
    refuses_swapped_tokens(Path("ours"))
