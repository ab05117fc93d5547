"""One review: the drawn rows and the decisions on them, as the page reads and changes them."""

import base64
from pathlib import Path
from threading import Lock
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.review.decisions import APPROVED, STRUCK, Decisions
from agentmerge_hub.publishing.review.presentation import sections_of
from agentmerge_hub.publishing.review.rows import picture_of, read_row, row_key
from agentmerge_hub.publishing.review.sampling import draw_sample, score_rows
from agentmerge_hub.publishing.review.uncertainty import SpotFinder

UNDECIDED = "undecided"
MAX_REASON = 500
"""Characters."""


class ReviewSession:
    """A sample of a dataset's rows under review. Safe to use from several threads."""

    def __init__(self, folder: Path, size: int, seed: int) -> None:
        """
        Raises:
            UserError: if the folder is no dataset, or its decisions cannot be read.
        """
        if manifest.read(folder)["stage"] != "build":
            raise UserError(f"{folder} is no dataset: give a folder that `agentmerge build` wrote")
        self.folder = folder
        self.decisions = Decisions(folder)
        self._finder = SpotFinder()
        scored = score_rows(folder, self._finder)
        if not scored:
            raise UserError(f"{folder} has no rows to review")
        struck = [one.row.key for one in scored if self.decisions.is_struck_in_another_form(one.row)]
        self.sample = draw_sample(scored, size, seed, first=frozenset(struck))
        self.n_rows = len(scored)
        self._lock = Lock()

    @property
    def n_undecided(self) -> int:
        """Drawn rows without a decision."""
        return sum(self.decisions.get(one.row.key) is None for one in self.sample)

    def overview(self) -> dict[str, Any]:
        """The drawn rows with their decisions."""
        return {
            "dataset": self.folder.resolve().name,
            "total": self.n_rows,
            "rows": [
                {"task": one.row.task, "config": one.row.config, "split": one.row.split, "step": one.row.step}
                | self._decision(number)
                for number, one in enumerate(self.sample)
            ],
        }

    def sections(self, number: int) -> dict[str, Any]:
        """What the page shows of a drawn row.

        Raises:
            UserError: if the dataset was replaced since the sample was drawn.
        """
        with self._lock:  # the readers of Parquet and the spot finder are shared
            row = self.sample[number].row
            try:
                values = read_row(row.place)
            except (OSError, IndexError):
                values = {}
            if not values or row_key(values) != row.key:
                raise UserError(f"{self.folder} was changed during the review: end it, and start it again")
            picture = base64.b64encode(picture_of(values)).decode()
            return {"sections": sections_of(values, self.folder, self._finder), "picture": picture}

    def decide(self, number: int, status: str, reason: str) -> dict[str, str]:
        """Record a decision at once; `status` is approved, struck or undecided.

        Raises:
            UserError: for another status, or if the file cannot be written.
        """
        row = self.sample[number].row
        with self._lock:
            if status == UNDECIDED:
                self.decisions.withdraw(row)
            elif status in (APPROVED, STRUCK):
                self.decisions.record(row, status, reason[:MAX_REASON] if status == STRUCK else "")
            else:
                raise UserError(f"the status {status!r} is unknown: use {APPROVED}, {STRUCK} or {UNDECIDED}")
            return self._decision(number)

    def _decision(self, number: int) -> dict[str, str]:
        decision = self.decisions.get(self.sample[number].row.key)
        return {
            "status": decision.status if decision else UNDECIDED,
            "reason": decision.reason if decision else "",
        }
