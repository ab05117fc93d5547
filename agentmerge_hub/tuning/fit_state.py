"""The state of an unfinished fit, kept beside its output: a run that was killed continues where it was.

The file is replaced whole after each point of the grid and each step. It holds the identity of its run, a hash of everything
the result depends on, and another run does not use it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentmerge_hub.files.atomic_write import write_text
from agentmerge_hub.tuning.objective import Score


@dataclass(frozen=True)
class Point:
    """The objective at one λ, or after one step."""

    fit: Score
    held_out: Score
    constant: float | None = None
    """λ of the grid."""
    step: int | None = None


@dataclass
class FitState:
    """How far a fit is."""

    identity: str = ""
    """Of the run."""
    grid: list[Point] = field(default_factory=list)
    curve: list[Point] = field(default_factory=list)
    step: int = 0
    """Steps that are done."""
    theta: Sequence[float] = ()
    """The logit of λ, one a group; empty before the first step."""
    mean: Sequence[float] = ()
    """Adam's mean of the gradients."""
    square: Sequence[float] = ()
    """Adam's mean of their squares."""

    @property
    def is_begun(self) -> bool:
        return bool(self.grid)


class FitStateFile:
    """The file of one run's state."""

    def __init__(self, path: Path, identity: str) -> None:
        self._path, self._identity = path, identity

    def read(self) -> FitState:
        """The state of this very run; that of a new one if there is none, or the file is of another run."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["identity"] == self._identity:
                return FitState(**content | {key: [_point(one) for one in content[key]] for key in ("grid", "curve")})
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return FitState(self._identity)

    def write(self, state: FitState) -> None:
        """Replace the file."""
        write_text(self._path, json.dumps(asdict(state)))

    def remove(self) -> None:
        """Delete the file, when the run is finished."""
        self._path.unlink(missing_ok=True)


def _point(content: Mapping[str, Any]) -> Point:
    return Point(**{**content, "fit": Score(**content["fit"]), "held_out": Score(**content["held_out"])})
