"""recipes/paper.sh: every command of the paper's run names a verb, a recipe and options that are there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from agentmerge_hub.cli import agentmerge

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def commands() -> list[list[str]]:
    done = subprocess.run(
        ["bash", "recipes/paper.sh"],
        cwd=ROOT,
        env=os.environ | {"DRY_RUN": "1", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [shlex.split(line) for line in done.stdout.splitlines() if line and not line.startswith("#")]


def test_every_stage_is_there_in_order(commands: list[list[str]]) -> None:
    verbs = [words[1] if words[0] == "agentmerge" else "sft" for words in commands]
    assert list(dict.fromkeys(verbs)) == ["collect", "build", "sft", "merge", "sweep", "evaluate", "analyse"]
    assert verbs.count("sft") == 36 and verbs.count("merge") == 7


def test_every_recipe_it_names_stands_there(commands: list[list[str]]) -> None:
    named = {word for words in commands for word in words if re.search(r"recipes/.*\.(ya?ml|py)$", word)}
    assert named and all((ROOT / path).is_file() for path in named)


def test_every_verb_knows_its_options(commands: list[list[str]]) -> None:
    for words in commands:
        if words[0] != "agentmerge":
            continue
        verb = agentmerge.get_command(click.Context(agentmerge), words[1])
        known = {option for parameter in verb.params for option in parameter.opts}
        assert {word for word in words[2:] if re.match(r"--?[a-z]", word)} <= known
