"""The run files of the orders of preference optimization and merging: each runs at toy size, command by command, as it is written."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from runs import save_model
from safetensors.torch import load_file

from agentmerge_hub import manifest
from agentmerge_hub.cli import agentmerge
from agentmerge_hub.training import finetune
from agentmerge_hub.training.arguments import parse_args
from agentmerge_hub.training.preference.arguments import parse_preference_args
from agentmerge_hub.training.preference.method import METHODS

RECIPES = Path(__file__).parents[3] / "recipes"
SCRIPTS = sorted((RECIPES / "preference").rglob("*.sh"))
ORDERS = {
    "merge-dpo": ["sft", "merge", "preference"],
    "dpo-merge": ["sft", "preference", "merge"],
    "dpo-both": ["sft", "sft", "preference", "preference", "merge"],
}


def commands(script: Path, folder: Path) -> list[list[str]]:
    ran = subprocess.run(
        ["bash", str(script)], cwd=folder, capture_output=True, text=True, check=True, env=os.environ | {"DRY_RUN": "1"}
    )
    return [shlex.split(line) for line in ran.stdout.splitlines()]


def stage(command: list[str]) -> str:
    script = next((Path(word).stem for word in command if word.endswith(".py")), "")
    return script or command[1]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_order_names_files_that_exist(script: Path, tmp_path: Path) -> None:
    named = commands(script, tmp_path)
    assert [stage(command) for command in named] == ORDERS[script.stem]
    files = [Path(word) for command in named for word in command if word.endswith((".py", ".yaml", ".yml"))]
    assert files and all(path.is_file() for path in files)
    assert f"/{script.parent.name}/" in str(files) and len(SCRIPTS) == 6


def execute(command: list[str]) -> None:
    """In this process, whose imports are done."""
    if (name := stage(command)) == "merge":
        done = CliRunner().invoke(agentmerge, command[1:])
        assert done.exit_code == 0, done.output
        return
    options = command[command.index("--config") :]
    if name == "sft":
        finetune.run(parse_args(options))
    else:
        config = parse_preference_args(options)
        finetune.run(config, METHODS[config.sft.method])


def test_the_tiny_orders_run(
    tiny_model: Path, preferences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mergekit", reason="the set of versions for training alone has no mergekit")
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "instruct")):
        save_model(tmp_path / "pair" / name, tiny_model, initializer_range=0.02 + 0.01 * seed)
    shutil.copytree(preferences, tmp_path / "workarena-traces")
    for order in ORDERS:
        for command in commands(RECIPES / "preference" / "tiny" / f"{order}.sh", tmp_path):
            execute(command)

    def inputs(folder: str) -> set[str]:
        return {entry["name"] for entry in manifest.read(tmp_path / folder)["inputs"].values()}

    assert "agentmerge" in inputs("runs/tiny-merged-dpo")
    assert "tiny-agent-dpo" in inputs("merged/dpo-merge") and "instruct" in inputs("merged/dpo-merge")
    assert {"tiny-agent-dpo", "tiny-instruct-dpo"} <= inputs("merged/dpo-both")
    made = [
        load_file(tmp_path / folder / "model.safetensors")["model.embed_tokens.weight"].float()
        for folder in ("merged/agentmerge", "runs/tiny-merged-dpo", "merged/dpo-merge", "merged/dpo-both")
    ]
    assert all(not one.equal(other) for number, one in enumerate(made) for other in made[:number])
