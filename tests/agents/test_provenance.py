"""How a model was made comes from its manifest, or from the recipe where there is none."""

from pathlib import Path

import pytest

from agentmerge_hub import manifest
from agentmerge_hub.agents.provenance import provenance_columns, recorded_config
from agentmerge_hub.agents.recipes.recipe import Candidate
from agentmerge_hub.errors import UserError


def test_an_endpoints_model_is_declared_in_the_recipe() -> None:
    declared = {"learning_rate": 5e-6, "samples_seen": 5120, "merge_lambda": 0.3, "run_seed": 1}
    candidate = Candidate.model_validate({"name": "m", "model": "m", "method": "agentmerge"} | declared)
    assert provenance_columns(candidate) == {"method": "agentmerge"} | declared
    assert provenance_columns(Candidate(name="m", model="m")) == {"method": "m"} | dict.fromkeys(declared)


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
