"""A row → what the review page shows: sections of text in segments, each plain or a spot. No markup is made here."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pyarrow.dataset as ds

from agentmerge_hub.publishing.review.rows import texts_of
from agentmerge_hub.publishing.review.uncertainty import PLACEHOLDER, SpotFinder

_HEADING = re.compile(r"^#{1,2} (.+?):?[ \t]*$", re.MULTILINE)
_OPEN = re.compile(r"goal|observation|axtree|html|page", re.IGNORECASE)
"""Headings of sections that are open from the start; the others open if they have something to check."""

_COLUMNS = "Other columns"
_HIDDEN = "Recorded page, lines that the prompt does not show"
_METADATA = ("config", "split", "task", "seed", "step", "n_steps", "agent", "teacher", "license", "episode_id")
_HASH_OF_EPISODE = re.compile(r"episode_id: [0-9a-f]{16}")
"""The line of an id that the build made, which looks random and is nothing to check."""


class Segment(TypedDict):
    """A piece of text; with `kind` it is a spot of uncertainty.py."""

    text: str
    kind: NotRequired[str]


class Section(TypedDict):
    """A titled part of a row."""

    title: str
    role: str
    """``goal``, ``answer``, ``rejected`` or empty."""
    open: bool
    segments: list[Segment]


def sections_of(row: dict[str, Any], folder: Path, finder: SpotFinder) -> list[Section]:
    """The sections of a row: goal, answer, then the rest of the prompt, and what only the config `episodes` shows."""
    parts = [part for turn in row["prompt"] for part in _parts(turn["role"], turn["content"])]
    goals = [part for part in parts if part[0].lower() == "goal"]
    answers = [("Answer", _joined(row["chosen" if "chosen" in row else "completion"]), "answer")]
    if "rejected" in row:
        answers.append(("Rejected answer", _joined(row["rejected"]), "rejected"))
    named = [(title, text, "goal") for title, text in goals] + answers
    named += [(title, text, "") for title, text in parts if (title, text) not in goals]
    facts = "\n".join(f"{name}: {row[name]}" for name in _METADATA if row.get(name) not in (None, ""))
    named.append((_COLUMNS, facts, ""))
    if hidden := _hidden_lines(row, folder):
        named.append((_HIDDEN, hidden, ""))
    return [_section(title, text, role, finder) for title, text, role in named if text.strip()]


def _joined(turns: list[dict[str, str]]) -> str:
    return "\n".join(turn["content"] for turn in turns)


def _parts(role: str, text: str) -> Iterator[tuple[str, str]]:
    """Pairs of heading and text of a chat turn; text before the first heading is named after the turn's role."""
    title, position = f"{role.capitalize()} turn", 0
    for match in _HEADING.finditer(text):
        if text[position : match.start()].strip():
            yield title, text[position : match.start()].strip("\n")
        title, position = match[1], match.end()
    if text[position:].strip():
        yield title, text[position:].strip("\n")


def _section(title: str, text: str, role: str, finder: SpotFinder) -> Section:
    lines = text.split("\n")
    found = finder.find(line for line in lines if title != _COLUMNS or not _HASH_OF_EPISODE.fullmatch(line))
    segments: list[Segment] = []
    for number, line in enumerate(lines):
        position = 0
        for spot in found.get(line, ()):
            segments += [
                {"text": line[position : spot.start]},
                {"text": line[spot.start : spot.end], "kind": spot.kind},
            ]
            position = spot.end
        segments.append({"text": line[position:] + ("\n" if number + 1 < len(lines) else "")})
    unsure = any(segment.get("kind") not in (None, PLACEHOLDER) for segment in segments)
    return {
        "title": title,
        "role": role,
        "open": bool(role) or unsure or (title != _HIDDEN and bool(_OPEN.search(title))),
        "segments": _merged(segments),
    }


def _merged(segments: list[Segment]) -> list[Segment]:
    """Plain segments that follow each other become one; empty ones are left out."""
    merged: list[Segment] = []
    for segment in segments:
        if merged and "kind" not in segment and "kind" not in merged[-1]:
            merged[-1]["text"] += segment["text"]
        elif segment["text"]:
            merged.append(segment)
    return merged


def _hidden_lines(row: dict[str, Any], folder: Path) -> str:
    """Lines of the step in the config `episodes` that the row does not hold: they are published too."""
    files = sorted((folder / "data" / "episodes").glob("*.parquet"))
    if not files:
        return ""
    this_step = (ds.field("episode_id") == row["episode_id"]) & (ds.field("step") == row["step"])
    shown = {line.strip() for text in texts_of(row) for line in text.split("\n")}
    lines = (
        line
        for recorded in ds.dataset(files, format="parquet").to_table(filter=this_step).to_pylist()
        for text in texts_of(recorded)
        for line in text.split("\n")
    )
    return "\n".join(dict.fromkeys(line for line in lines if line.strip() not in shown))
