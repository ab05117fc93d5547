"""Families whose tensors, names or configurations are not Llama's: merged as plain arithmetic on what they store, and proven."""

import json
from pathlib import Path

import pytest
import torch
from models_by_role import ROLES, save_roles
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    BambaConfig,
    BambaForCausalLM,
    BlipConfig,
    BlipForConditionalGeneration,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    MoshiConfig,
    MoshiForCausalLM,
    PreTrainedConfig,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.dry_run import estimate
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.verify import verify
from agentmerge_hub.package_data import data_folder

LAYERS = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT = LAYERS | {"num_key_value_heads": 1, "head_dim": 8}
VISION = LAYERS | {"image_size": 28, "patch_size": 14}
EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 8}
MAMBA = {"mamba_d_state": 4, "mamba_n_heads": 4, "mamba_d_head": 8, "attn_layer_indices": [1]}


def make(kind: type, config: PreTrainedConfig, tokenizer_folder: Path) -> None:
    """base, agent and instruct in float32, near each other."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    for part in (config, config.get_text_config()):
        part.vocab_size, part.eos_token_id = len(tokenizer), tokenizer.eos_token_id
    torch.manual_seed(0)
    model = kind(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    save_roles(model, tokenizer)


def merge(recipe: str, *, reply: bool = False) -> dict[str, torch.Tensor]:
    read = specs.read(data_folder("recipes") / "merge" / f"{recipe}.yml")
    text = specs.with_values(read, {role: f"./{role}" for role in ROLES}, recipe).text
    spec = specs.parse(text.replace("out_dtype: bfloat16", "out_dtype: float32"), recipe)
    merge_one(MergeJob(spec, Path(recipe), recipe), MergeSettings(reply=reply))
    return load_file(f"{recipe}/model.safetensors")


def slerp(models: str = "models: [{model: ./instruct}, {model: ./agent}]") -> specs.Spec:
    """A merge that mergekit computes."""
    settings = "parameters: {t: 0.5}\ndtype: bfloat16\ntokenizer_source: ./instruct\n"
    return specs.parse(f"merge_method: slerp\nbase_model: ./instruct\n{models}\n{settings}", "spec")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (GPTNeoXForCausalLM, GPTNeoXConfig(**LAYERS)),
        (Qwen3MoeForCausalLM, Qwen3MoeConfig(**TEXT, **EXPERTS)),
        (BambaForCausalLM, BambaConfig(**TEXT, **MAMBA)),
        (Gemma3ForConditionalGeneration, Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4)),
    ],
    ids=["gpt_neox", "qwen3_moe", "bamba", "gemma3 with images"],
)
def test_a_family_is_merged_as_plain_arithmetic_on_its_tensors(
    kind: type, config: PreTrainedConfig, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(kind, config, tokenizer_folder)
    base, agent, instruct = (load_file(f"{role}/model.safetensors") for role in ROLES)
    merged = merge("agentmerge")
    assert merged.keys() == instruct.keys()
    for name, tensor in merged.items():
        wanted = base[name] + (0.5 * (agent[name] - base[name]) + 0.5 * (instruct[name] - base[name]))
        assert tensor.equal(wanted), name
    by_layer = merge("lines")
    for name, tensor in by_layer.items():
        weight = 0.7 if ".layers.1." in name else 0.3
        wanted = base[name] + (weight * (agent[name] - base[name]) + (1 - weight) * (instruct[name] - base[name]))
        torch.testing.assert_close(tensor, wanted, rtol=0, atol=1e-6, msg=name)
    for folder in ("agentmerge", "lines"):
        assert not kind.from_pretrained(folder, output_loading_info=True)[1]["missing_keys"]
        verify(folder, reply=False)
    if config.sub_configs:  # the class of the whole model does not read this key
        path = Path("lines/config.json")
        content = json.loads(path.read_text())
        content["text_config"]["model_type"] += "x"
        path.write_text(json.dumps(content))
        Path("lines/manifest.json").unlink()
        with pytest.raises(
            UserError, match=r"config\.json has text_config\.model_type gemma3_textx, and the inputs give"
        ):
            verify("lines", reply=False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "config", "models", "message"),
    [
        (
            Gemma3ForConditionalGeneration,
            Gemma3Config(text_config=TEXT, vision_config=VISION, mm_tokens_per_image=4),
            "slices: [{sources: [{model: ./instruct, layer_range: [0, 2]}, {model: ./agent, layer_range: [0, 2]}]}]",
            "the spec has slices, and these models consist of .*: write the slices of each under `modules:`",
        ),
        (
            MoshiForCausalLM,
            MoshiConfig(**LAYERS, ffn_dim=24, head_dim=8),
            "models: [{model: ./instruct}, {model: ./agent}]",
            r"model\.embed_tokens\.weight has \d+ rows, .* mergekit, .*, would cut it: leave out tokenizer_source",
        ),
    ],
    ids=["gemma3 in slices", "moshi"],
)
def test_what_mergekit_cannot_merge_is_refused_before_it_computes(
    kind: type,
    config: PreTrainedConfig,
    models: str,
    message: str,
    tokenizer_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make(kind, config, tokenizer_folder)
    spec = slerp(models)
    with pytest.raises(UserError, match=message):
        estimate(MergeJob(spec, Path("out"), "spec"), MergeSettings(), 500)
    with pytest.raises(UserError, match=message):
        merge_one(MergeJob(spec, Path("out"), "spec"), MergeSettings(reply=False))
    assert {path.name for path in tmp_path.iterdir()} == set(ROLES)
    merge("agentmerge")


@pytest.mark.filterwarnings("ignore")
def test_a_lost_expert_of_a_mergekit_run_is_named(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make(MixtralForCausalLM, MixtralConfig(**TEXT, num_local_experts=2), tokenizer_folder)
    merge_one(MergeJob(slerp(), Path("slerp"), "spec"), MergeSettings(reply=False))
    verify("slerp", reply=False)
    Path("slerp/manifest.json").unlink()
    for stored in ("slerp", "instruct"):  # experts in one tensor a layer, and each in its own
        tensors = load_file(f"{stored}/model.safetensors")
        lost = max(name for name in tensors if ".experts." in name)
        del tensors[lost]
        save_file(tensors, "slerp/model.safetensors", metadata={"format": "pt"})
        capfd.readouterr()
        with pytest.raises(UserError, match=f"{lost} is missing"):
            verify("slerp", reply=False)
        assert not capfd.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_a_class_that_answers_nothing_without_an_image_says_how_to_merge_it(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(BlipForConditionalGeneration, BlipConfig(text_config=LAYERS, vision_config=VISION), tokenizer_folder)
    with pytest.raises(
        UserError, match=r"cannot answer a greeting \(TypeError: .*pixel_values.*: --no-reply leaves this out"
    ):
        merge("agentmerge", reply=True)
    assert not Path("agentmerge").exists()
    merge("agentmerge")


def test_weights_that_do_not_fit_their_configuration_are_refused_also_without_a_reply(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(GPTNeoXForCausalLM, GPTNeoXConfig(**LAYERS), tokenizer_folder)
    for role in ROLES:
        path = Path(role, "config.json")
        path.write_text(
            json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"intermediate_size": 32}), encoding="utf-8"
        )
    with pytest.raises(UserError, match=r"dense_4h_to_h.weight is \[16, 24\], and config.json gives \[16, 32\]"):
        merge("agentmerge")
    assert {path.name for path in tmp_path.iterdir()} == set(ROLES)
