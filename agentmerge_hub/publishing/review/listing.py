"""The decisions on a dataset's rows as lines of text. Nothing is changed here."""

from collections.abc import Iterator
from pathlib import Path

from agentmerge_hub.publishing.review.decisions import APPROVED, STRUCK, Decisions
from agentmerge_hub.publishing.review.rows import ReviewRow, iterate_rows


def list_decisions(folder: Path) -> Iterator[str]:
    """One line per decision, approved rows first, then how many rows have none.

    Raises:
        UserError: if the decisions cannot be read.
    """
    decisions = Decisions(folder)
    rows: dict[str, ReviewRow] = {row.key: row for row, _ in iterate_rows(folder)}
    for status in (APPROVED, STRUCK):
        for key, decision in sorted(
            decisions.items(), key=lambda item: (item[1].date, item[1].episode_id, item[1].step)
        ):
            if decision.status == status:
                row = rows.get(key)
                place = f"{row.config}/{row.split}" if row else "not in the dataset"
                reason = f": {decision.reason}" if decision.reason else ""
                yield f"{status}  {decision.date}  {decision.episode_id} step {decision.step} ({place}){reason}"
    statuses = [decision.status for _, decision in decisions.items()]
    n_open = sum(decisions.get(key) is None for key in rows)
    waiting = sum(decisions.is_struck(row) for row in rows.values())
    line = f"{statuses.count(APPROVED):,} approved, {statuses.count(STRUCK):,} struck, {n_open:,} of {len(rows):,} rows open"
    yield f"{line}; {waiting:,} struck rows are still in the dataset: --apply removes them" if waiting else line
