"""What a model's folder, manifest and configuration say of its base models and of how it is loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
import stage_outputs
from safetensors.numpy import save_file

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.cards.model_card import Input
from agentmerge_hub.publishing.model_facts import loading_of
from agentmerge_hub.publishing.model_folder import (
    base_models_of,
    base_of_adapter,
    check_weights,
    inputs_of,
    recorded_bases,
)

DATA = {"name": "traces", "sha256": "d", "stage": "build", "inputs": {}}
COMMIT = "0" * 40


def model(name: str, **more) -> dict:
    return {"name": name, "sha256": f"hash of {name}", **more}


def run(*models: dict) -> dict:
    """A run's entry; without models it was trained on one of the Hub."""
    return model("run", stage="sft", inputs={"dataset": DATA} | {f"model{n}": entry for n, entry in enumerate(models)})


def content(stage: str, config: dict | None = None, **inputs: dict) -> dict:
    return {
        "stage": stage,
        "inputs": inputs,
        "config": config or {},
        "outputs": {},
        "counts": {},
        "run": {"seconds": None},
    }


@pytest.mark.parametrize(
    ("folder", "named", "finding"),
    [
        (content("sft", {"model": "acme/base"}, dataset=DATA), ["acme/base"], None),
        (content("sft", {"model": "acme/base"}, dataset=DATA), ["acme/other"], "which names acme/base: leave it out"),
        (content("sft", {"model": "pair/base"}, dataset=DATA, model=model("base")), ["acme/base"], None),
        (
            content("sft", {"model": "x"}, dataset=DATA, model=model("x")),
            ["a/b", "a/c"],
            "which has 1 model without a Hub id",
        ),
        (
            content("preference", {}, dataset=DATA, model=run(model("x"))),
            ["a/b", "a/c"],
            "which has 1 model without a Hub id",
        ),
        (content("merge", base=model("b"), instruct=model("i"), agent=run(model("b"))), ["a/b", "a/i"], None),
        (
            content("merge", base=model("b"), instruct=model("i"), agent=run(model("b"))),
            ["a/b", "a/i", "a/x"],
            "has 2 models",
        ),
        (
            content("merge", base=model("b"), instruct=model("i"), agent=run(model("b"))),
            ["a/b"],
            "2 models without a Hub id, and --base-model names 1",
        ),
        (content("merge", base=model("b"), agent=run()), ["a/b"], None),
        (content("merge", base=model("b"), agent=run()), ["a/b", "a/i"], None),
        (content("graft", {"adapter_base": "a/b"}, adapter=run(), instruct=model("i")), ["a/i"], None),
        (
            content("graft", {"adapter_base": "a/b"}, adapter=run(), instruct=model("i")),
            ["a/i", "a/x"],
            "names a/b and has 1 model",
        ),
        (content("graft", {"adapter_base": None}, adapter=model("l"), instruct=model("i")), ["a/i", "a/b"], None),
    ],
)
def test_named_base_models_fit_the_recorded_ones(tmp_path: Path, folder, named, finding) -> None:
    inputs = [] if folder["stage"] == "graft" else inputs_of(tmp_path, folder)
    if folder["stage"] == "graft" and folder["config"]["adapter_base"]:
        inputs = [Input("base", "a/b", "", "", "", True)]
    bases, findings = base_models_of(inputs, named, folder)
    if finding is None:
        assert findings == [] and set(named) <= set(bases)
    else:
        assert len(findings) == 1 and finding in findings[0]


def test_a_graft_is_loaded_on_the_model_that_it_was_moved_to() -> None:
    instruct, base = Input("instruct", "a/i", "1" * 40, "", "", True), Input("base", "a/b", "", "", "", True)
    for inputs, named in (
        ([instruct, base], []),
        ([base], ["a/i"]),
        ([instruct], ["a/b"]),
        ([], ["a/b", "a/i"]),
        ([], ["a/i-Chat", "a/b"]),
    ):
        settings = {"adapter_base": "a/b" if base in inputs else None}
        graft = content("graft", settings, adapter=model("l"), instruct=model("i"))
        bases, findings = base_models_of(inputs, named, graft)
        assert findings == [] and base_of_adapter(inputs, bases, graft).startswith("a/i")
    assert base_of_adapter([], ["a/b"], content("sft", {})) == "a/b"


def test_a_merge_takes_the_ids_of_its_spec_and_of_its_runs(tmp_path: Path) -> None:
    spec = stage_outputs.SPEC.replace("pair/base", "acme/base").replace("pair/instruct", "acme/instruct")
    agent = tmp_path / "agent"
    agent.mkdir()
    manifest.write(agent, "sft", config={"model": "acme/base"})
    (tmp_path / "mergekit_config.yml").write_text(spec.replace("runs/base-all", str(agent)))
    merged = content("merge", base=model(COMMIT), instruct=model("1" * 40), agent=run())
    recorded, inputs = recorded_bases(tmp_path, merged), inputs_of(tmp_path, merged)
    assert recorded == {"agent": "acme/base"}
    assert base_models_of(inputs, ["acme/instruct"], merged, recorded) == (["acme/base", "acme/instruct"], [])
    _, findings = base_models_of(inputs, ["acme/base-7b"], merged, recorded)
    assert "contradicts the lineage, which names acme/base, acme/instruct: leave it out" in findings[0]
    (agent / "manifest.json").unlink()  # the run is elsewhere by now
    assert base_models_of(inputs, ["acme/base-7b"], merged, recorded_bases(tmp_path, merged))[1] == []


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        (f"/x/models--acme--base-1.5B/snapshots/{COMMIT}", "acme/base-1.5B"),
        ("acme/base@v1", "acme/base"),
        (f"/ckpt/jane/{COMMIT}", None),
        (f"copies/{COMMIT}", None),
        (f"./{COMMIT}", None),
    ],
)
def test_a_path_is_no_id_of_the_hub(tmp_path: Path, reference: str, name: str | None) -> None:
    (tmp_path / "mergekit_config.yml").write_text(f"base_model: {reference} # base\nmerge_method: passthrough\n")
    (found,) = inputs_of(tmp_path, content("merge", base=model(COMMIT)))
    assert (found.name, found.on_hub) == (name or "base", name is not None)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_beside_a_full_model_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_text("{}")
    assert f"{name} is beside a full model, and transformers would load that adapter" in check_weights(tmp_path, [])[0]


def test_weights_that_no_loader_reads_are_refused(tmp_path: Path) -> None:
    names = ["model.safetensors", "model-00001-of-00002.safetensors"]
    (tmp_path / "config.json").write_text("{}")
    for name in names:
        save_file({"head": np.zeros(2, np.float32)}, tmp_path / name)
    assert check_weights(tmp_path, names[:1]) == []
    (finding,) = check_weights(tmp_path, names)
    assert finding == "model-00001-of-00002.safetensors is beside the weights, and no loader would read it: remove it"


@pytest.mark.parametrize(
    ("config", "model_class", "pipeline"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "AutoModelForCausalLM", "text-generation"),
        ({"architectures": ["Qwen2_5_VLForConditionalGeneration"], "vision_config": {}}, "AutoModelForImageTextToText", "image-text-to-text"),
        ({"architectures": ["Other"]}, "AutoModelForCausalLM", ""),
        ({}, "AutoModelForCausalLM", ""),
    ],
)  # fmt: skip
def test_how_it_is_loaded_follows_its_configuration(tmp_path: Path, config, model_class: str, pipeline: str) -> None:
    found = loading_of({"config.json": json.dumps(config).encode()})
    assert (found.model_class, found.pipeline) == (model_class, pipeline)
    assert found.architecture == next(iter(config.get("architectures", [])), "")
    (tmp_path / "config.json").write_text(json.dumps(config))
    settings = {"base_model_name_or_path": str(tmp_path), "task_type": "CAUSAL_LM"}
    of_adapter = loading_of({"adapter_config.json": json.dumps(settings).encode()})
    assert of_adapter.takes_images == found.takes_images
    assert loading_of({"adapter_config.json": b'{"task_type": "CAUSAL_LM"}'}).pipeline == "text-generation"


@pytest.mark.parametrize("architectures", ["LlamaForCausalLM", [3], {"a": 1}])
def test_an_architecture_that_is_no_name_is_one_sentence(architectures) -> None:
    config = json.dumps({"architectures": architectures}).encode()
    with pytest.raises(UserError, match="has the architectures"):
        loading_of({"config.json": config})
