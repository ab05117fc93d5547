"""Decisions of a review, kept in a file beside the dataset: written at once and whole, so that a killed review resumes.

Beside it, not in it: a dataset that is built again keeps its decisions, and reasons are never published by accident.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files import locks
from agentmerge_hub.files.atomic_write import write_text
from agentmerge_hub.publishing.review.rows import ReviewRow

APPROVED = "approved"
STRUCK = "struck"


@dataclass(frozen=True)
class Decision:
    """A person's decision on one row."""

    status: str
    """APPROVED or STRUCK."""
    reason: str
    date: str
    episode_id: str
    step: int


class Decisions:
    """The decisions on one dataset, by the key of the row."""

    def __init__(self, dataset: Path) -> None:
        """
        Raises:
            UserError: if the file cannot be read.
        """
        self.path = decisions_file(dataset)
        self._all = _read(self.path)

    def __getitem__(self, key: str) -> Decision:
        return self._all[key]

    def get(self, key: str) -> Decision | None:
        """The decision on a row, None if there is none."""
        return self._all.get(key)

    def items(self) -> Iterator[tuple[str, Decision]]:
        """Pairs of row key and decision."""
        yield from self._all.items()

    def record(self, row: ReviewRow, status: str, reason: str = "") -> None:
        """Set the decision on a row, and write it to the disk."""
        today = time.strftime("%Y-%m-%d", time.gmtime())
        self._write({**self._all, row.key: Decision(status, " ".join(reason.split()), today, row.episode_id, row.step)})

    def withdraw(self, row: ReviewRow) -> None:
        """Remove the decision on a row."""
        self._write({key: decision for key, decision in self._all.items() if key != row.key})

    def is_struck(self, row: ReviewRow) -> bool:
        """Whether a row has to leave the dataset."""
        decision = self.get(row.key)
        return decision is not None and decision.status == STRUCK

    def is_struck_in_another_form(self, row: ReviewRow) -> bool:
        """Whether a row without a decision is of a step that was struck: built again, perhaps with another window."""
        return self.get(row.key) is None and (row.episode_id, row.step) in {
            (decision.episode_id, decision.step) for decision in self._all.values() if decision.status == STRUCK
        }

    def _write(self, decisions: dict[str, Decision]) -> None:
        content = {key: asdict(decision) for key, decision in sorted(decisions.items())}
        with os_errors_as_sentences(self.path):
            write_text(self.path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        self._all = decisions


def decisions_file(dataset: Path) -> Path:
    """The file beside a dataset, e.g. ``workarena-traces.review.json``."""
    dataset = dataset.resolve()
    return dataset.with_name(f"{dataset.name}.review.json")


@contextlib.contextmanager
def lock_decisions(dataset: Path) -> Iterator[None]:
    """Be the only one who decides on a dataset.

    Raises:
        UserError: if another process reviews it.
    """
    path = decisions_file(dataset)
    with locks.lock_file(path.with_name(f".{path.name}.lock"), path, "review"):
        yield


def _read(path: Path) -> dict[str, Decision]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        decisions = {key: Decision(**entry) for key, entry in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): restore it, or move it away to start the review anew"
        ) from None
    if wrong := [decision.status for decision in decisions.values() if decision.status not in (APPROVED, STRUCK)]:
        raise UserError(f"{path} has the status {wrong[0]!r}: only {APPROVED} and {STRUCK} are decisions")
    return decisions
