"""A study's folder is continued with a recipe that serves its episodes alike, or the difference is said."""

import pickle
from pathlib import Path

from agentmerge_hub.agents.recipes.recipe import read
from agentmerge_hub.agents.status.same_study import changed_arguments
from agentmerge_hub.agents.status.study_info import RECIPE_NAME


def test_other_arguments_of_the_engine_than_of_earlier_episodes_are_named(write_recipe, tmp_path: Path) -> None:
    out = tmp_path / "results"
    run = out / "traces" / "study" / "run"
    run.mkdir(parents=True)
    (out / RECIPE_NAME).write_bytes(write_recipe(engine_arguments=["--tensor-parallel-size", 8]).read_bytes())
    same, other = read(tmp_path / "study.yaml"), read(write_recipe(engine_arguments=["--quantization", "fp8"]))
    assert changed_arguments(other, out) == []  # no episode has run
    (run / "exp_args.pkl").write_bytes(pickle.dumps({"exp_id": "1"}))
    assert changed_arguments(same, out) == []
    (warning,) = changed_arguments(other, out)
    assert warning == (
        f"the earlier episodes of {out} were served with engine_arguments [--tensor-parallel-size, 8] and are kept, the next ones are "
        "served with [--quantization, fp8]: use another folder if that changes answers, as --quantization does"
    )
