"""Scores of a sweep's merges: a command evaluates each finished merge, and `scores.json` keeps what it printed.

With ``keep="best"`` a merge is deleted once another of the sweep has a higher score, so that the disk holds few of them at a
time. A merge with a score of the same command is not made again: its identity is the hash of its spec and of its inputs' files.
"""

import json
import math
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.atomic_write import temporary_name, write_text
from agentmerge_hub.merging.inputs.checkpoint import read_json
from agentmerge_hub.merging.outputs import provenance

FILE = "scores.json"


@dataclass(frozen=True)
class Scoring:
    """How the merges of a sweep are scored."""

    command: str
    """Run with the merge's folder as its last argument; the last line that it prints is the score, higher is better."""
    keep: Literal["all", "best"] = "all"

    def __post_init__(self) -> None:
        """Raise UserError if the command is no command."""
        _ = self.words

    @property
    def words(self) -> list[str]:
        """The command and its arguments."""
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise UserError(f"--evaluate {self.command}: it is no command: {str(error).lower()}") from error
        if not words:
            raise UserError("--evaluate is empty: give a command that prints a score, or leave it out")
        return words


@dataclass(frozen=True)
class Score:
    """The score of one merge."""

    identity: str
    """Hash of the spec and of the inputs' files."""
    score: float
    command: str = ""
    """What evaluated it."""


class Scores:
    """The scores of one sweep's folder, written after each evaluation; those of another command are left out."""

    def __init__(self, out: Path, command: str) -> None:
        """Read what earlier runs wrote.

        Raises:
            UserError: if scores.json is not one that this class wrote.
        """
        self._path, self._command = out / FILE, command
        self._scores: dict[str, Score] = {}
        if self._path.is_file():
            try:
                self._scores = {name: Score(**entry) for name, entry in read_json(self._path).items()}
            except TypeError as error:
                raise UserError(f"{self._path} holds no scores of a sweep: move it away") from error

    def of(self, folder: Path, identity: str) -> float | None:
        """The score of this very merge; None if it has none."""
        found = self._scores.get(folder.name)
        is_this = found is not None and (found.identity, found.command) == (identity, self._command)
        return found.score if found is not None and is_this else None

    def add(self, folder: Path, identity: str, score: float) -> None:
        """Record a score."""
        self._scores[folder.name] = Score(identity, score, self._command)
        text = json.dumps({name: asdict(one) for name, one in sorted(self._scores.items())}, indent=1)
        write_text(self._path, text + "\n")

    def keep_best(self, merges: Iterable[tuple[Path, str]]) -> None:
        """Delete every scored merge but the best.

        Args:
            merges: folder and identity of the sweep's merges; those without a score are left as they are.
        """
        scored = [(score, folder) for folder, identity in merges if (score := self.of(folder, identity)) is not None]
        best = max((score for score, _ in scored), default=0.0)
        kept = False
        for score, folder in scored:
            if score == best and not kept:
                kept = True
            elif (folder / manifest.NAME).is_file() and manifest.read(folder)["stage"] == provenance.STAGE:
                leftover = temporary_name(folder, "partial")
                folder.rename(leftover)
                shutil.rmtree(leftover)


def evaluate(scoring: Scoring, folder: Path) -> float:
    """Run the command on a merge.

    Raises:
        UserError: if it fails, or its last line is not a finite number.
    """
    command, words = scoring.command, [*scoring.words, str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError as error:
        raise UserError(f"--evaluate {command}: it cannot be run: {error.strerror or error}") from error
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise UserError(f"--evaluate {command}: it failed on {folder} with {output[-1].strip()}")
    last = (done.stdout.strip().splitlines() or [""])[-1]
    try:
        score = float(last)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise UserError(f"--evaluate {command}: the last line on {folder} is {last!r}, and should be a number")
    return score
