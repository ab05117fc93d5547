"""How a model was made comes from its manifest, or from the recipe where there is none."""

import json
from pathlib import Path

import pytest

from agentmerge_hub import manifest
from agentmerge_hub.agents.provenance import provenance_columns, recorded_config
from agentmerge_hub.agents.recipes.recipe import Candidate
from agentmerge_hub.errors import UserError


def test_an_endpoints_model_is_declared_in_the_recipe() -> None:
    declared = {"learning_rate": 5e-6, "samples_seen": 5120, "merge_lambda": 0.3, "run_seed": 1}
    candidate = Candidate.model_validate({"name": "m", "model": "m", "method": "agentmerge"} | declared)
    assert provenance_columns(candidate) == {"method": "agentmerge", "merged_runs": None} | declared
    assert provenance_columns(Candidate(name="m", model="m")) == {"method": "m"} | dict.fromkeys(
        [*declared, "merged_runs"]
    )


def test_the_adapter_of_a_run_has_the_runs_values(tmp_path: Path) -> None:
    adapter = tmp_path / "run/adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    candidate = Candidate(name="a", path=str(adapter))
    assert provenance_columns(candidate)["samples_seen"] is None
    (tmp_path / "run/manifest.json").write_text("[]")  # another program's
    assert provenance_columns(candidate)["samples_seen"] is None
    manifest.write(tmp_path / "run", "sft", config={"samples_seen": 640, "prompts": {"window": 2048}})
    assert provenance_columns(candidate)["samples_seen"] == 640
    assert recorded_config(adapter)["prompts"] == {"window": 2048}
    manifest.write(tmp_path / "run", "evaluate", config={"samples_seen": 640})
    assert recorded_config(adapter) == {}


def test_a_folder_has_its_manifests_values_and_none_that_differ(tmp_path: Path) -> None:
    manifest.write(tmp_path, "merge", config={"method": "agentmerge", "lambda": 0.5, "seed": 3})
    columns = provenance_columns(Candidate(name="a", path=str(tmp_path), learning_rate=1e-6))
    assert (columns["method"], columns["merge_lambda"], columns["run_seed"]) == ("agentmerge", 0.5, 3)
    assert columns["learning_rate"] == 1e-6
    with pytest.raises(UserError, match=r"the recipe sets merge_lambda 0\.3 and the manifest of .* records 0\.5"):
        provenance_columns(Candidate(name="a", path=str(tmp_path), merge_lambda=0.3))


def test_a_merged_model_names_the_runs_that_it_was_merged_from(tmp_path: Path) -> None:
    def made(name: str, stage: str, **inputs: str) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"name": name}))
        manifest.write(tmp_path / name, stage, inputs={role: tmp_path / path for role, path in inputs.items()})
        return name

    def merged_from(name: str) -> list[str]:
        found = provenance_columns(Candidate(name=name, path=str(tmp_path / name)))["merged_runs"]
        return [] if found is None else found.split(",")

    instruct = made("instruct", "sft")  # made here, and given all the same
    for seed in "012":
        made(f"run-{seed}", "sft", model=instruct)
    hashes = [manifest.input_entry(tmp_path / f"run-{seed}")["sha256"] for seed in "012"]
    assert merged_from("run-0") == []
    assert merged_from(made("soup", "merge", first="run-0", second="run-1")) == sorted(hashes[:2])
    made("agentmerge", "merge", base=instruct, agent="run-2", agent_base=instruct, instruct=instruct)
    assert merged_from("agentmerge") == hashes[2:]
    assert merged_from(made("of merges", "merge", first="soup", second="agentmerge")) == sorted(hashes)
