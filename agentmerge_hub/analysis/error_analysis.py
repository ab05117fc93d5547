"""Error analysis: what a model did at each checkpoint, as rates with the episodes behind them.

The paper's questions: does it still think before it acts, and does it copy the prompt's example ``click('a324')``?
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.common_episodes import Shared, within
from agentmerge_hub.analysis.episodes import Results, Row, done
from agentmerge_hub.prompt import EXAMPLE_BID

ROUNDING = 1e-12
"""A standard error up to this is that of rounding errors."""
LOOP = 3
"""An episode is a loop if one action is repeated this many times in a row."""


@dataclass(frozen=True)
class Measure:
    """A rate over answers or over episodes: `count` of one episode, per `per` of it."""

    name: str
    title: str
    meaning: str
    count: Callable[[Row], float]
    per: Callable[[Row], float]
    needs: tuple[str, ...] = ()
    """Columns without which nothing is known of an episode."""

    def known(self, episodes: list[Row]) -> list[Row]:
        return [row for row in episodes if all(row.get(name) is not None for name in self.needs)]


def _column(name: str) -> Callable[[Row], float]:
    return lambda row: float(row[name])


def _of_answers(name: str, title: str, meaning: str, column: str) -> Measure:
    return Measure(name, title, meaning, _column(column), _column("answers"), (column, "answers"))


def _one(row: Row) -> float:
    return 1.0


def _unsolved(row: Row) -> bool:
    """Whether it ended without success. Where the model's own failure ended it, ``error_class`` names that: parse, overflow, hang."""
    return row["status"] == "done" and not row["success"]


MEASURES = (
    _of_answers("think", "think", "answers with a thought before the action", "think_answers"),
    _of_answers("retries", "parse retries", "re-prompts for each answer", "parse_retries"),
    _of_answers(
        "copied",
        "example copied",
        f"answers that use the bid of the prompt's example, {EXAMPLE_BID}",
        "copied_example_actions",
    ),
    Measure(
        "copied_first",
        "copied at step 0",
        "episodes that begin with the example's bid",
        lambda row: float(row["copied_example_first_step"]),
        _one,
        ("copied_example_first_step",),
    ),
    _of_answers(
        "copied_off_page",
        "copied, not on page",
        f"answers that use {EXAMPLE_BID} where the page has no such element",
        "copied_example_off_page",
    ),
    _of_answers("invalid_bid", "invalid bid", "answers with a bid that the page does not have", "invalid_bid_actions"),
    Measure(
        "loop",
        "loops",
        f"episodes with the same action {LOOP} times in a row",
        lambda row: float(row["longest_repeat"] >= LOOP),
        _one,
        ("longest_repeat",),
    ),
    Measure(
        "unread",
        "unreadable answer",
        "episodes that stopped because no answer could be read",
        lambda row: float(row["error_class"] == "parse"),
        _one,
    ),
    Measure(
        "early",
        "ended unsolved",
        "episodes that the agent or the page ended before the limit, without success",
        lambda row: float(_unsolved(row) and not row["truncated"] and not row["error_class"]),
        _one,
        ("truncated",),
    ),
    Measure(
        "out_of_steps",
        "out of steps",
        "episodes that ran into the step limit",
        lambda row: float(_unsolved(row) and bool(row["truncated"]) and not row["error_class"]),
        _one,
        ("truncated",),
    ),
)


def longest_repeat(actions: list[str | None]) -> int:
    """The longest run of one and the same action."""
    longest = run = 0
    previous = None
    for action in actions:
        run = run + 1 if action is not None and action == previous else int(action is not None)
        previous, longest = action, max(longest, run)
    return longest


def counted_episodes(
    results: Results, split: str, candidates: Collection[Candidate] = (), shared: Shared | None = None
) -> dict[Candidate, list[Row]]:
    """The episodes behind each candidate's rates: of those that are compared, the ones that are compared.

    Args:
        candidates, shared: those of Table 1, and its episodes. Of other candidates (checkpoints) all episodes count.
    """
    return {
        candidate: within(rows, split, candidate, shared) if candidate in candidates else rows
        for candidate, rows in results.by_candidate(split).items()
    }


def table(results: Results, candidates: Collection[Candidate] = (), shared: Shared | None = None) -> list[dict]:
    """A row for each candidate and split: every rate with its standard error over episodes, checkpoints in order.

    A rate without a denominator (no answers, no trace to count loops in, or a column that the results lack) is None. The arguments are those of
    `counted_episodes`.
    """
    rows = []
    for split in results.splits:
        for candidate, episodes in counted_episodes(results, split, candidates, shared).items():
            finished = done(episodes)
            if not finished:
                continue
            row = {"split": split, **candidate._asdict(), "episodes": len(finished)}
            for measure in MEASURES:
                row[measure.name], row[f"{measure.name}_se"] = _rate(measure.known(finished), measure)
            rows.append(row)
    return sorted(rows, key=lambda row: results.splits.index(row["split"]))


def _rate(episodes: list[Row], measure: Measure) -> tuple[float | None, float | None]:
    """A ratio of sums and its standard error over episodes (linearized); no error where all episodes agree, which show no spread."""
    counts = np.array([measure.count(row) for row in episodes])
    sizes = np.array([measure.per(row) for row in episodes])
    if sizes.sum() == 0:
        return None, None
    rate = counts.sum() / sizes.sum()
    if len(counts) < 2:
        return float(rate), None
    spread = ((counts - rate * sizes) ** 2).sum() * len(counts) / (len(counts) - 1)
    error = float(np.sqrt(spread) / sizes.sum())
    return float(rate), error if error > ROUNDING else None


def behind(episodes: list[Row]) -> list[tuple[Measure, list[tuple[Row, float]], int]]:
    """The finished episodes behind each measure with what each adds, the failures first; and of how many it is known."""
    found = []
    for measure in MEASURES:
        known = measure.known(done(episodes))
        rows = [(row, count) for row in known if (count := measure.count(row))]
        ordered = sorted(rows, key=lambda pair: (pair[0]["reward"], pair[0]["task"], pair[0]["seed"]))
        found.append((measure, ordered, len(known)))
    return found
