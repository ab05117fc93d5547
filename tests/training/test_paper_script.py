"""recipes/paper.sh: its commands, run with stand-ins for the programs, in a folder whose name has a space."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from command_sequences import unwritten_inputs

from agentmerge_hub.cli import agentmerge

ROOT = Path(__file__).parents[2]

VLLM = """#!{python}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Healthy).serve_forever()
"""

PROGRAM = """#!/bin/bash
[[ "$1" == recipes ]] && exec {python} -m agentmerge_hub "$@"
served=""
for port in {ports}; do (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && served+="$port,"; done
printf '%q ' "served=$served" "${{0##*/}}" "$@" >>"$COMMANDS" && echo >>"$COMMANDS"
"""


@dataclass(frozen=True)
class Run:
    commands: list[list[str]]
    """Words of each command that was run, without vllm's."""
    served: list[list[str]]
    """Ports that answered during each command."""
    printed: list[list[str]]
    """Words of each command that DRY_RUN=1 prints."""
    ports: list[str]
    """Of the experts, in the order of the recipes."""


def free_ports(number: int) -> list[str]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [str(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("clone") / "a clone"
    recipes = root / "recipes"
    shutil.copytree(ROOT / "recipes", recipes, ignore=shutil.ignore_patterns("experiments"))
    ports = free_ports(2)
    for name, port in zip(("llama-3.1-70b", "mistral-large"), ports):
        recipe = recipes / f"collect/workarena-{name}.yaml"
        recipe.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", recipe.read_text()))
    with (recipes / "sft/llama-3.1-8b/sweep.yaml").open("a") as sweep:
        sweep.write('  run_name: ["a run"]\n')
    programs = root / "programs"
    programs.mkdir()
    for name in ("agentmerge", "accelerate", "vllm"):
        text = (VLLM if name == "vllm" else PROGRAM).format(python=sys.executable, ports=" ".join(ports))
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    commands = root / "commands"
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "COMMANDS": str(commands),
        "PYTHONPATH": str(ROOT),
    }
    script = ["bash", str(recipes / "paper.sh")]
    dry = subprocess.run(script, env=environment | {"DRY_RUN": "1"}, capture_output=True, text=True, check=True)
    assert not commands.exists()
    subprocess.run(script, env=environment, check=True, capture_output=True)
    lines = [shlex.split(line) for line in commands.read_text().splitlines()]
    return Run(
        commands=[words[1:] for words in lines],
        served=[[port for port in words[0].removeprefix("served=").split(",") if port] for words in lines],
        printed=[shlex.split(line) for line in dry.stdout.splitlines() if line and not line.startswith("#")],
        ports=ports,
    )


def test_every_stage_is_there_in_order(paper: Run) -> None:
    verbs = [words[1] if words[0] == "agentmerge" else "sft" for words in paper.commands]
    assert list(dict.fromkeys(verbs)) == ["collect", "build", "sft", "merge", "sweep", "evaluate", "analyse"]
    assert verbs.count("sft") == 36 and verbs.count("merge") == 7


def test_a_dry_run_prints_what_is_run(paper: Run) -> None:
    assert [words for words in paper.printed if words[0] != "vllm"] == paper.commands


def test_an_expert_is_served_while_it_collects_and_at_no_other_time(paper: Run) -> None:
    assert paper.served == [paper.ports[:1], paper.ports[1:], *[[]] * (len(paper.commands) - 2)]


def test_a_value_with_a_space_stays_one_word(paper: Run) -> None:
    launches = [words for words in paper.commands if words[0] == "accelerate"]
    assert all(words[words.index("--run_name") + 1] == "a run" for words in launches)
    assert all(words[1:3] == ["launch", "-q"] for words in launches)


def test_experts_have_ports_of_their_own() -> None:
    endpoints = [
        re.findall(r"^endpoint: (\S+)", path.read_text(), re.MULTILINE)
        for path in sorted((ROOT / "recipes/collect").glob("workarena-*.yaml"))
    ]
    assert len(endpoints) == 2 and endpoints[0] != endpoints[1]


def test_every_recipe_that_it_names_exists(paper: Run) -> None:
    named = {word for words in paper.commands for word in words if re.search(r"recipes/.*\.(ya?ml|py)$", word)}
    assert named and all((ROOT / path).is_file() for path in named)


def test_every_verb_knows_its_options(paper: Run) -> None:
    for words in paper.commands:
        if words[0] != "agentmerge":
            continue
        verb = agentmerge.get_command(click.Context(agentmerge), words[1])
        known = {option for parameter in verb.params for option in parameter.opts}
        assert {word for word in words[2:] if re.match(r"--?[a-z]", word)} <= known


def test_each_command_reads_what_an_earlier_one_wrote(paper: Run) -> None:
    fetched = ["hf", "download", "--local-dir", "models"]  # by the user, as the head of the script says
    commands = [[word.removesuffix("-a run") for word in words] for words in paper.commands]
    assert unwritten_inputs([fetched, *commands]) == []
