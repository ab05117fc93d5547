"""The README is true: its table of verbs is the command line's own, and every file it names is there."""

import re
from pathlib import Path

import click

from agentmerge_hub.cli import ROOM_OF, agentmerge

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def verbs() -> str:
    """The table as it should stand: verb, what its help says first, the room that defines it."""
    context = click.Context(agentmerge)
    lines = ["| verb | what it does | room |", "| --- | --- | --- |"]
    for verb, room in ROOM_OF.items():
        summary = agentmerge.get_command(context, verb).get_short_help_str(limit=200)
        lines.append(f"| `{verb}` | {summary} | `{room}` |")
    return "\n".join(lines)


def test_the_table_of_verbs_is_the_command_lines() -> None:
    assert verbs() in README, f"put this table into README.md:\n{verbs()}"


def test_every_file_it_names_is_there() -> None:
    named = set(re.findall(r"\b(?:recipes|push_scripts|benchmarks|dataset_card)/[\w./-]*\w", README))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_verb_it_shows_is_one() -> None:
    shown = set(re.findall(r"^agentmerge ([a-z-]+)", README, re.MULTILINE)) | set(
        re.findall(r"`agentmerge ([a-z-]+)", README)
    )
    assert shown <= set(ROOM_OF)
