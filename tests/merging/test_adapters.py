"""A LoRA run is the model it makes of its base: in merges, and grafted on the instruct model with PEFT alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import run_merge
from mergekit.options import MergeOptions
from peft import AutoPeftModelForCausalLM, LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import spec as specs
from agentmerge_hub.merging.graft import graft
from agentmerge_hub.merging.merge import Wanted, merge
from agentmerge_hub.merging.verify import verify
from agentmerge_hub.package_data import data_folder


def train(out: Path, **options: object) -> Path:
    """A LoRA adapter on ./base with factors that do something."""
    torch.manual_seed(7)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM", **options)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained("base", dtype=torch.float32), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    model.save_pretrained(out)
    return out


@pytest.fixture
def lora(here: Path) -> Path:
    return train(Path("lora"))


def spec_of(method: str, agent: str) -> specs.Spec:
    recipe = specs.read(data_folder("recipes") / "merge" / f"{method}.yml")
    return specs.with_values(recipe, {"base": "./base", "agent": agent, "instruct": "./instruct"}, "spec")


@pytest.mark.parametrize(
    ("options", "methods"),
    [({}, ["agentmerge", "nuslerp"]), ({"use_rslora": True}, ["ties"])],
    ids=["streamed and by mergekit", "rslora"],
)
def test_an_adapter_merges_as_the_model_peft_makes_of_it(here: Path, options: dict, methods: list[str]) -> None:
    lora = train(Path("lora"), **options)
    full = AutoPeftModelForCausalLM.from_pretrained(lora, dtype=torch.float32).merge_and_unload()
    full.save_pretrained("full")
    for method in methods:
        merge([Wanted(spec_of(method, "./lora"), Path(method), "spec")], reply=False)
        merge([Wanted(spec_of(method, "./full"), Path(f"{method}-full"), "spec")], reply=False)
        assert Path(method, "model.safetensors").read_bytes() == Path(f"{method}-full/model.safetensors").read_bytes()
    assert verify(Path(methods[0]), {}).tensors == 21


def test_mergekit_gives_the_same_for_model_plus_adapter(lora: Path) -> None:
    spec = spec_of("agentmerge", "./base+./lora")
    merge([Wanted(spec, Path("ours"), "spec")], reply=False)
    options = MergeOptions(write_model_card=False, quiet=True, lora_merge_cache="cache", lora_merge_dtype="float32")
    run_merge(MergeConfiguration.model_validate(yaml.safe_load(spec.text)), "theirs", options)
    ours, theirs = load_file("ours/model.safetensors"), load_file("theirs/model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_graft_is_the_sum_with_both_vectors_whole(lora: Path, llama: Callable[..., Path]) -> None:
    graft(lora, "./instruct", Path("graft"))
    assert sum(path.stat().st_size for path in Path("graft").glob("*.safetensors")) < 50_000
    loaded = AutoPeftModelForCausalLM.from_pretrained("graft", dtype=torch.float32).merge_and_unload().state_dict()
    text = spec_of("agentmerge_sum", "./lora").text.replace("out_dtype: bfloat16", "out_dtype: float32")
    merge([Wanted(specs.parse(text, "spec"), Path("sum"), "spec")], reply=False)
    for name, tensor in load_file("sum/model.safetensors").items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=1e-6)


def test_what_is_not_plain_lora_is_refused(lora: Path) -> None:
    with pytest.raises(UserError, match="base is no adapter"):
        graft(Path("base"), "./instruct", Path("graft"))
    config = json.loads((lora / "adapter_config.json").read_text())
    (lora / "adapter_config.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(UserError, match=r"lora is not plain LoRA \(use_dora\): let PEFT merge it"):
        merge([Wanted(spec_of("agentmerge", "./lora"), Path("out"), "spec")], reply=False)
    (lora / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "gone"}))
    with pytest.raises(UserError, match=r"trained on 'gone', which is not here: write MODEL\+\./lora"):
        merge([Wanted(spec_of("agentmerge", "./lora"), Path("out"), "spec")], reply=False)
    assert not Path("out").exists() and not Path("graft").exists()


def test_an_adapter_for_another_model_is_refused(lora: Path, llama: Callable[..., Path]) -> None:
    llama(Path("wide"), seed=0, hidden=64)
    with pytest.raises(UserError, match=r"adapts .* and \./wide has no such tensor"):
        graft(lora, "./wide", Path("graft"))
