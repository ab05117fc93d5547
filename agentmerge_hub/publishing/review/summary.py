"""How much of a dataset was reviewed: what the manifest, the card and `agentmerge push` say."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.publishing.review.decisions import Decisions
from agentmerge_hub.publishing.review.rows import iterate_rows

REVIEW = "review"
"""Key of the manifest's counts."""


@dataclass(frozen=True)
class ReviewCounts:
    """The outcome of every review of a dataset so far."""

    reviewed: int
    """Rows that a person decided on, struck ones included."""
    rows: int
    """Rows before any was struck, of the configs all, failures and preferences."""
    struck: int
    date: str
    """Of the last decision, YYYY-MM-DD."""

    @classmethod
    def from_manifest(cls, content: Mapping[str, Any]) -> "ReviewCounts | None":
        """The counts in a manifest; None if no review was applied, or they are no counts."""
        entry = content["counts"].get(REVIEW)
        try:
            return cls(int(entry["reviewed"]), int(entry["rows"]), int(entry["struck"]), str(entry["date"]))
        except (TypeError, KeyError, ValueError):
            return None

    def for_manifest(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.reviewed:,} of {self.rows:,} rows were reviewed, the last on {self.date}; {self.struck:,} were struck"


def review_line(folder: Path, content: Mapping[str, Any]) -> str:
    """What a push says of the review."""
    counts = ReviewCounts.from_manifest(content)
    if counts:
        return f"{counts}."
    return f"No row was reviewed by a person: `{review_command(folder)}` shows a sample."


def review_command(folder: Path) -> str:
    """The command that reviews a dataset, to copy into a shell."""
    return f"agentmerge review {shlex.quote(str(folder))}"


def review_findings(folder: Path) -> list[str]:
    """Why a dataset must not be published: rows that were struck are still in it."""
    decisions = Decisions(folder)
    if not any(True for _ in decisions.items()):
        return []
    struck = other = 0
    for row, _ in iterate_rows(folder):
        struck += decisions.is_struck(row)
        other += decisions.is_struck_in_another_form(row)
    findings = []
    if struck:
        findings.append(f"{struck} rows that were struck are still in it: run `{review_command(folder)} --apply`")
    if other:
        findings.append(
            f"{other} rows are of steps that were struck before the dataset was built anew: run "
            f"`{review_command(folder)}`, which shows them first"
        )
    return findings
