"""Every recipe is read by the installed TRL and accelerate, and every sweep by `agentmerge recipes expand`."""

import shlex
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from click.testing import CliRunner

from agentmerge_hub.cli import agentmerge
from agentmerge_hub.training import arguments

RECIPES = Path(__file__).parents[2] / "recipes"
ON_CPU = ["--use_cpu", "true", "--bf16", "false"]


@pytest.mark.parametrize(
    "recipe", [path for path in sorted((RECIPES / "sft").rglob("*.yaml")) if path.name != "sweep.yaml"], ids=str
)
def test_a_recipe_is_understood(recipe: Path) -> None:
    run = arguments.read(["--config", str(recipe), *ON_CPU])
    name = f"{recipe.parent.name}-{recipe.stem}"
    assert run.config.output_dir == f"runs/{name}"
    assert run.own.checkpoint_samples == (1280 if recipe.stem.endswith("-cpu") else 5120)
    assert run.model.dtype == "float32"
    head = recipe.read_text().split("model_name_or_path")[0]
    assert "# Needs:" in head and "Makes: runs/" + name in head


@pytest.mark.parametrize("config", sorted((RECIPES / "accelerate").glob("*.yaml")), ids=str)
def test_accelerate_reads_its_files(config: Path) -> None:
    assert load_config_from_file(str(config)).num_processes in (1, 8)


def test_the_papers_grid_has_36_runs_in_36_folders() -> None:
    done = CliRunner().invoke(agentmerge, ["recipes", "expand", "sft/llama-3.1-8b/sweep.yaml"])
    lines = [shlex.split(line) for line in done.output.splitlines()]
    folders = {line[line.index("--output_dir") + 1] for line in lines}
    assert len(lines) == len(folders) == 36
    for line in lines:
        run = arguments.read(line[line.index("--config") :] + ON_CPU)
        assert run.config.learning_rate in (1e-6, 5e-6, 1e-5) and run.config.seed in (0, 1)


def test_recipes_are_listed_shown_and_copied(tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(agentmerge, ["recipes", "ls"]).output
    assert "sft/tiny/base-all.yaml" in listed and "merge/agentmerge.yml" in listed
    shown = runner.invoke(agentmerge, ["recipes", "show", "sft/tiny/base-all.yaml"]).output
    assert runner.invoke(agentmerge, ["recipes", "copy", "sft/tiny/base-all.yaml", str(tmp_path)]).exit_code == 0
    assert (tmp_path / "base-all.yaml").read_text() == shown
    again = runner.invoke(agentmerge, ["recipes", "copy", "sft/tiny/base-all.yaml", str(tmp_path)])
    assert "already exists" in str(again.exception)
    assert "no recipe 'nothing'" in str(runner.invoke(agentmerge, ["recipes", "show", "nothing"]).exception)
