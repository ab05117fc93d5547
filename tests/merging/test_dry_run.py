"""A plan says the bytes that the merge then writes, for every kind of merge."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.dry_run import estimate
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs


def config(method: str = "task_arithmetic", **more: object) -> dict[str, object]:
    models = [{"model": f"./{role}", "parameters": {"weight": 0.5}} for role in ("agent", "instruct")]
    types = {"dtype": "float32", "out_dtype": "bfloat16"}
    return {
        "merge_method": method,
        "base_model": "./base",
        "models": models,
        "tokenizer_source": "./instruct",
        **types,
        **more,
    }


def sliced(*ranges: list[int]) -> dict[str, object]:
    slices = [{"sources": [{"model": "./agent", "layer_range": layers}]} for layers in ranges]
    return config("passthrough", slices=slices, models=None)


def planned_and_written(content: dict[str, object]) -> tuple[int, int]:
    text = yaml.safe_dump({key: value for key, value in content.items() if value is not None})
    job = MergeJob(specs.parse(text, "spec"), Path("out"), "spec")
    planned = estimate(job, MergeSettings(), 500)
    assert not Path("out").exists()
    merge_one(job, MergeSettings(reply=False))
    weights = load_file("out/model.safetensors").values()
    return planned.written, sum(tensor.numel() * tensor.element_size() for tensor in weights)


def grow(role: str) -> None:
    """Five more tokens, with rows of embeddings and head."""
    tokenizer = AutoTokenizer.from_pretrained(role)
    tokenizer.add_tokens([f"<tool {number}>" for number in range(5)])
    tokenizer.save_pretrained(role)
    weights = load_file(f"{role}/model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = torch.cat([weights[name], weights[name][:5]])
    save_file(weights, f"{role}/model.safetensors", metadata={"format": "pt"})
    path = Path(role, "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": len(tokenizer)}))


@pytest.mark.parametrize(
    "content",
    [
        config(),
        config(out_dtype="float64"),
        sliced([0, 1]),
        sliced([0, 2], [1, 2]),
        config(tokenizer_source=None, tokenizer={"source": "union"}),
        config(tokenizer_source=None, tokenizer={"source": "union", "pad_to_multiple_of": 64}),
    ],
    ids=["streamed", "float64", "fewer layers", "more layers", "union", "padded union"],
)
def test_a_plan_says_the_bytes_that_are_written(here: Path, content: dict[str, object]) -> None:
    if "tokenizer" in content:
        grow("agent")
    planned, written = planned_and_written(content)
    assert planned == written


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [{"modules_to_save": ["embed_tokens"]}, {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}],
    ids=["a head of its own", "kept tied"],
)
def test_a_plan_has_the_head_that_an_adapter_unties(here: Path, llama: Callable[..., Path], options: dict) -> None:
    for seed, role in enumerate(("base", "instruct")):
        shutil.rmtree(role)
        llama(Path(role), seed=seed, tied=True, layers=1, chat=role == "instruct")
    shutil.rmtree("agent")
    settings = LoraConfig(r=2, target_modules=["q_proj"], **options)
    get_peft_model(AutoModelForCausalLM.from_pretrained("base"), settings).save_pretrained("agent")
    planned, written = planned_and_written(config())
    assert planned == written


def test_a_plan_names_what_mergekit_would_leave_out(here: Path) -> None:
    for role in ("base", "agent", "instruct"):
        weights = load_file(f"{role}/model.safetensors")
        weights["model.layers.0.self_attn.extra.weight"] = torch.ones(2)
        save_file(weights, f"{role}/model.safetensors", metadata={"format": "pt"})
    spec = specs.parse(
        yaml.safe_dump(config("model_stock", models=[{"model": "./agent"}, {"model": "./instruct"}])), "spec"
    )
    with pytest.raises(UserError, match=r"it would leave out model\.layers\.0\.self_attn\.extra\.weight of"):
        estimate(MergeJob(spec, Path("out"), "spec"), MergeSettings(), 500)
