"""mergekit runs from any folder, replaces nothing but models, and draws random numbers only where a seed is asked for."""

from pathlib import Path

import pytest
import torch
from mergekit.merge_methods import arcee_fusion
from mergekit.merge_methods.api import merge_tensors
from mergekit.merge_methods.base import BasePolicy
from mergekit.merge_methods.registry import registered_methods

from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.verify import verify
from agentmerge_hub.package_data import data_folder


def test_every_method_that_draws_random_numbers_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arcee_fusion, "_QUANTILE_SAMPLE_SIZE", 10)  # it draws for larger tensors: a million in mergekit
    base = torch.randn(8, 8)
    found = []
    for method in registered_methods():
        known = {"weight": 1.0, "t": 0.5, "density": 0.5, "select_topk": 0.5}
        names = [parameter.name for parameter in method.spec.parameters]
        inputs = [base, base + 0.1, base * 1.1][: method.spec.contract.max_inputs]
        state = torch.get_rng_state()
        merge_tensors(
            inputs,
            method,
            parameters={name: value for name, value in known.items() if name in names},
            base_index=0 if method.spec.contract.base in (BasePolicy.REQUIRED, BasePolicy.OPTIONAL) else None,
        )
        if not torch.equal(state, torch.get_rng_state()):
            found.append(method.spec.name)
    assert sorted(found) == list(specs.RANDOM_METHODS)


def test_folders_of_any_name_are_merged_and_only_models_are_replaced(here: Path) -> None:
    Path("agent").rename("slerp")  # as the method
    recipe = specs.read(data_folder("recipes") / "merge" / "slerp.yml")
    values = {"agent": "slerp", "instruct": "./instruct"}
    out = Path("a+b@c [1] #x: y")
    merge_one(MergeJob(specs.with_values(recipe, values, "recipe"), out, "spec"), MergeSettings(reply=False))
    verify(out, reply=False)
    assert {path.name for path in here.iterdir()} == {"base", "slerp", "instruct", out.name}
