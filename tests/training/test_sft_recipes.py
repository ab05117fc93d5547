"""Every recipe is read by the installed TRL and accelerate, and every sweep by `agentmerge recipes expand`."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_deepspeed_cmd_env
from click.testing import CliRunner
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from agentmerge_hub.cli import agentmerge
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import arguments, finetune
from agentmerge_hub.training.preference.arguments import parse_preference_args

RECIPES = Path(__file__).parents[2] / "recipes"
ON_CPU = ["--use_cpu", "true", "--bf16", "false", "--use_liger_kernel", "false"]


@pytest.mark.parametrize(
    "recipe", [path for path in sorted((RECIPES / "sft").rglob("*.yaml")) if path.name != "sweep.yaml"], ids=str
)
def test_a_recipe_is_understood(recipe: Path) -> None:
    run = arguments.parse_args(["--config", str(recipe), *ON_CPU])
    name = f"{recipe.parent.name}-{recipe.stem}"
    assert run.sft.output_dir == f"runs/{name}"
    assert run.options.checkpoint_samples == (1280 if recipe.stem.endswith("-cpu") else 5120)
    assert run.model.dtype == "float32"
    head = recipe.read_text().split("model_name_or_path")[0]
    assert "# Needs:" in head and "Makes: runs/" + name in head


@pytest.mark.parametrize(
    "recipe", [path for path in sorted((RECIPES / "sft").rglob("*.yaml")) if path.name != "sweep.yaml"], ids=str
)
def test_a_step_of_each_recipe(recipe: Path, tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    """Its settings with a tiny model's names: what it trains, and what it leaves."""
    if yaml.safe_load(recipe.read_text()).get("load_in_4bit"):
        pytest.importorskip("bitsandbytes")
    out = tmp_path / "run"
    settings = {
        "model_name_or_path": tiny_model, "tokenizer_name_or_path": tiny_model, "dataset_name": traces,
        "dataset_config": "all", "output_dir": out, "eos_token": "<|end|>", "padding_token": "<|pad|>",
        "gradient_accumulation_steps": 2, "max_steps": 1, "warmup_steps": 0,
    }  # fmt: skip
    words = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    finetune.run(arguments.parse_args(["--config", str(recipe), *words, *ON_CPU]))
    before, after = load_file(tiny_model / "model.safetensors"), load_file(out / "model.safetensors")
    assert before.keys() == after.keys() and {str(each.dtype) for each in after.values()} == {"torch.float32"}
    assert any(not after[name].equal(before[name]) for name in before)
    ModelCard.load(out / "README.md")


@pytest.mark.parametrize("config", sorted((RECIPES / "accelerate").glob("*.yaml")), ids=str)
def test_accelerate_reads_its_files(config: Path) -> None:
    assert load_config_from_file(str(config)).num_processes in (1, 8)


def test_deepspeed_reads_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through accelerate's plugin, by the class DeepSpeed itself starts from."""
    config_class = pytest.importorskip("deepspeed.runtime.config").DeepSpeedConfig
    from accelerate.utils import DeepSpeedPlugin

    path = str(RECIPES / "accelerate" / "deepspeed_zero3.yaml")
    given = _validate_launch_command(launch_command_parser().parse_args(["--config_file", path, "sft.py"]))[0]
    given.deepspeed_fields_from_accelerate_config = ",".join(load_config_from_file(path).deepspeed_config)
    for name, value in prepare_deepspeed_cmd_env(given)[1].items():
        if "DEEPSPEED" in name:
            monkeypatch.setenv(name, value)
    settled = {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 8, "train_batch_size": 8}
    settings = DeepSpeedPlugin().deepspeed_config | settled | {"bf16": {"enabled": True}}
    read = config_class({key: value for key, value in settings.items() if value != "auto"})
    assert read.zero_config.stage == 3 and read.bfloat16_config.enabled
    assert not read.zero_config.gather_16bit_weights_on_model_save


def test_the_papers_grid_has_36_runs_in_36_folders() -> None:
    done = CliRunner().invoke(agentmerge, ["recipes", "expand", "sft/llama-3.1-8b/sweep.yaml"])
    lines = [shlex.split(line) for line in done.output.splitlines()]
    folders = {line[line.index("--output_dir") + 1] for line in lines}
    assert len(lines) == len(folders) == 36
    for line in lines:
        run = arguments.parse_args(line[line.index("--config") :] + ON_CPU)
        assert run.sft.learning_rate in (1e-6, 5e-6, 1e-5) and run.sft.seed in (0, 1)


def test_recipes_are_listed_shown_and_copied(tmp_path: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(agentmerge, ["recipes", "ls"]).output
    assert "sft/tiny/base-all.yaml" in listed and "merge/agentmerge.yml" in listed
    shown = runner.invoke(agentmerge, ["recipes", "show", "sft/tiny/base-all.yaml"]).output
    assert runner.invoke(agentmerge, ["recipes", "copy", "sft/tiny/base-all.yaml", str(tmp_path)]).exit_code == 0
    assert (tmp_path / "base-all.yaml").read_text() == shown
    again = runner.invoke(agentmerge, ["recipes", "copy", "sft/tiny/base-all.yaml", str(tmp_path)])
    assert "already exists" in str(again.exception)
    folder = str(runner.invoke(agentmerge, ["recipes", "copy", "sft/tiny", "mine"]).exception)
    assert folder.startswith("sft/tiny is a folder of recipes: name one of sft/tiny/") and "merge/" not in folder
    assert "no recipe 'nothing'" in str(runner.invoke(agentmerge, ["recipes", "show", "nothing"]).exception)
    typo = runner.invoke(agentmerge, ["recipes", "show", "tiny/base-al"]).exception
    assert "did you mean sft/tiny/base-all.yaml?" in str(typo)


@pytest.mark.parametrize(
    "name", ["../pyproject.toml", "../agentmerge_hub/cli.py", str(RECIPES.parent / "pyproject.toml")]
)
def test_a_file_that_is_no_recipe_is_not_shown(name: str) -> None:
    shown = CliRunner().invoke(agentmerge, ["recipes", "show", name])
    assert shown.exit_code == 1 and "no recipe" in str(shown.exception) and not shown.output


@pytest.mark.parametrize("parse", [arguments.parse_args, parse_preference_args])
def test_a_run_without_a_recipe_says_how_to_name_one(parse: Callable) -> None:
    with pytest.raises(
        UserError, match=r"no recipe is named: add --config FILE, e.g. --config recipes/sft/tiny/base-all.yaml"
    ):
        parse(["--learning_rate", "1e-5"])


def test_a_key_given_twice_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "twice.yaml"
    recipe.write_text("seed: 1\nmodel_name_or_path: a\nseed: 2\n")
    with pytest.raises(UserError, match=r"twice.yaml, line 3: 'seed' is given twice, remove one"):
        arguments.parse_args(["--config", str(recipe)])
