"""One comparison of two methods on the same (task, seed): difference, interval, p, and what lost episodes could change.

Two claims are tested, each with its own estimate of error (`statistics.crossed_runs`):

- *new tasks* (the splits cross_task and validation): tasks are a random sample, and so are training runs;
- *same tasks* (inter_task and others): the tasks stay, their seeds are a random sample, and so are training runs.

``low``, ``high`` and ``p`` are those of the split's own claim. With fewer than three independent training runs on a side, runs
cannot be a sample: the numbers then hold for these models only, and there is no verdict on methods.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentmerge_hub.analysis import statistics
from agentmerge_hub.analysis.episodes import UNTRAINED, Key, Row, by_run, common_keys, done, key_of, shared_runs
from agentmerge_hub.analysis.statistics import crossed_runs, power

NEW_TASK_SPLITS = ("cross_task", "validation")
"""Splits whose claim is about new tasks."""
MIN_RUNS = 3
"""Training runs of a method from which a verdict on methods is given."""
ALPHA = 0.05
IMPUTATIONS = {
    "if_failed": (0, 0),
    "if_succeeded": (1, 1),
    "lowest": (0, 1),
    "highest": (1, 0),
}
"""Whether the lost episodes of A and of B succeeded: none, all, and the worst and the best case for A. See `reward_bounds`."""


@dataclass(frozen=True)
class Side:
    """Episodes of one candidate: reward sums and counts by run and (task, seed)."""

    sums: np.ndarray
    counts: np.ndarray
    runs: tuple[int | None, ...]
    fixed: bool
    """Whether it is one given model instead of a method that can be trained again."""
    overlapping: bool = False
    """Whether two of the models were merged from one training run, so that they are not independent."""

    @property
    def enough_runs(self) -> bool:
        return self.fixed or (len(self.runs) >= MIN_RUNS and not self.overlapping)

    def each_key_once(self) -> "Side":
        """The same side with each key counted once, however many runs finished it: all have finished some."""
        number = self.counts.sum(0)
        if len(set(number)) == 1:
            return self
        return replace(self, sums=self.sums / number, counts=self.counts / number)


@dataclass(frozen=True)
class Units:
    """The units that a claim takes as random: tasks, or (task, seed) with tasks as strata."""

    units: list[Any]
    index: list[int]
    """The unit of each key."""
    strata: list[str] | None
    shares: np.ndarray | None
    """Shares of the keys in each unit; None where they are equal."""

    def values(self, mine: Side) -> np.ndarray:
        """Cell values (runs, units)."""
        sums, counts = (np.zeros((len(mine.runs), len(self.units))) for _ in range(2))
        np.add.at(sums.T, self.index, mine.sums.T)
        np.add.at(counts.T, self.index, mine.counts.T)
        return crossed_runs.cell_values(sums, counts)


def units_of(keys: list[Key], new_tasks: bool) -> Units:
    """The units of sorted keys, for a claim about new tasks or about these tasks with new seeds."""
    if not new_tasks:
        return Units(keys, list(range(len(keys))), [task for task, _ in keys], None)
    tasks = sorted({task for task, _ in keys})
    place = {task: number for number, task in enumerate(tasks)}
    index = [place[task] for task, _ in keys]
    numbers = np.bincount(index)
    return Units(tasks, index, None, None if len(set(numbers)) == 1 else numbers / len(keys))


def side(rows: list[Row], keys: list[Key], lost_reward: float | None = None) -> Side | None:
    """The candidate's episodes on these keys; None if none of them is finished.

    Args:
        lost_reward: reward given to crashed and missing episodes; None leaves them out.
    """
    place = {key: number for number, key in enumerate(keys)}
    seeds, sums, counts = [], [], []
    for seed, run in by_run(row for row in rows if key_of(row) in place).items():
        total, count = np.zeros(len(keys)), np.zeros(len(keys))
        for row in run:
            reward = row["reward"] if row["status"] == "done" else lost_reward
            if reward is not None:
                total[place[key_of(row)]] += reward
                count[place[key_of(row)]] += 1
        if count.any():
            seeds.append(seed)
            sums.append(total)
            counts.append(count)
    if not seeds:
        return None
    is_given = rows[0]["method"] in UNTRAINED
    return Side(np.array(sums), np.array(counts), tuple(seeds), is_given, overlapping=bool(shared_runs(rows)))


def compare(
    a: list[Row],
    b: list[Row],
    split: str,
    keys: set[Key] | None = None,
    *,
    draws: int = 4_000,
    seed: int = 0,
    tests: int = 1,
) -> dict:
    """Every number of one comparison, A minus B. Numbers that the data cannot give are None.

    Means and difference are over the keys that both sides have finished, each counted once, so that episodes that one side lost
    do not count for the other; ``smallest_difference`` is None too where no two rewards are that far apart.

    Args:
        keys: the (task, seed) to compare on; by default those that all runs of both have.
        draws, seed: of the simulation behind ``smallest_difference``.
        tests: number of comparisons in the report, for Holm's correction.
    """
    common = sorted(common_keys([a, b]) if keys is None else keys)
    row: dict[str, Any] = {"pairs": 0, "lost_a": _lost(a, common), "lost_b": _lost(b, common)}
    pairs = finished_by_both(a, b, common)
    first, second = side(a, pairs), side(b, pairs)
    if first is None or second is None:
        return row
    first, second = first.each_key_once(), second.each_key_once()
    new_tasks, bounds = split in NEW_TASK_SPLITS, reward_bounds(a + b)
    row |= {
        "pairs": len(pairs),
        "planned": len(common),
        "tasks": len({task for task, _ in pairs}),
        "runs_a": len(first.runs),
        "runs_b": len(second.runs),
        "paired_runs": _paired(first, second),
        "shared_run_seeds": len({*first.runs} & {*second.runs} - {None}),
        "about_methods": first.enough_runs and second.enough_runs,
        "runs_differ_alone": _differing_side(first, second, pairs, new_tasks),
        "mean_a": first.sums.sum() / first.counts.sum(),
        "mean_b": second.sums.sum() / second.counts.sum(),
        "claim": "new tasks" if new_tasks else "same tasks",
    }
    row["difference"] = row["mean_a"] - row["mean_b"]
    for name, about_new in (("new_tasks", True), ("same_tasks", False)):
        parts = _parts(first, second, pairs, about_new)
        low, high, p = _interval(parts, pairs, about_new)
        row |= {f"low_{name}": low, f"high_{name}": high, f"p_{name}": p}
        if about_new == new_tasks:
            row |= {"low": low, "high": high, "p": p}
            smallest = power.smallest_difference(
                parts, rates=_rates(first, second), alpha=ALPHA / max(tests, 1), draws=draws, seed=seed
            )
            row["smallest_difference"] = smallest if smallest <= bounds[1] - bounds[0] else None
    if row["lost_a"] or row["lost_b"]:
        for name, outcomes in IMPUTATIONS.items():
            left, right = (side(rows, common, bounds[outcome]) for rows, outcome in zip((a, b), outcomes))
            assert left and right  # both have finished episodes
            parts = _parts(left, right, common, new_tasks)
            row[f"difference_{name}"] = float(parts.estimate)
            row[f"p_{name}"] = _interval(parts, common, new_tasks)[2]
        row |= {"lost_lowest_reward": bounds[0], "lost_highest_reward": bounds[1]}
    row |= _wins(first, second, a, b, pairs)
    return {key: plain(value) for key, value in row.items()}


def reward_bounds(rows: list[Row]) -> tuple[float, float]:
    """What a lost episode may have been: 0 to 1, or down and up to the rewards seen where they exceed these."""
    rewards = [row["reward"] for row in done(rows)]
    return min(0.0, *rewards), max(1.0, *rewards)


def finished_by_both(a: list[Row], b: list[Row], keys: Collection[Key]) -> list[Key]:
    """Those of the keys that a run of either side has finished, sorted."""
    left, right = ({key_of(row) for row in done(rows)} for rows in (a, b))
    return sorted(left & right & set(keys))


def _lost(rows: list[Row], keys: list[Key]) -> int:
    inside = set(keys)
    return sum(row["status"] != "done" and key_of(row) in inside for row in rows)


def _paired(a: Side, b: Side) -> bool:
    """Runs pair by seed where both sides have the same two or more seeds.

    Where only some seeds are shared, all runs are treated as independent: the shared ones are too few to estimate how alike
    they are, and an interval that leaves a positive covariance out is wider than needed, never too narrow.
    """
    return len(a.runs) > 1 and a.runs == b.runs and None not in a.runs


def _parts(a: Side, b: Side, keys: list[Key], new_tasks: bool, pair: bool = True) -> crossed_runs.Components:
    grouping = units_of(keys, new_tasks)
    left, right = grouping.values(a), grouping.values(b)
    if not (a.enough_runs and b.enough_runs):  # runs are not a sample: these models
        left, right, pair = left.mean(0, keepdims=True), right.mean(0, keepdims=True), False
    return crossed_runs.components(
        left, right, paired=pair and _paired(a, b), strata=grouping.strata, shares=grouping.shares
    )


def _rates(a: Side, b: Side) -> tuple[float, float] | None:
    """Mean rewards of both sides, where they are shares of success or like them; None for rewards beyond 0 and 1."""
    if any((side.sums < 0).any() or (side.sums > side.counts).any() for side in (a, b)):
        return None
    return (float(a.sums.sum() / a.counts.sum()), float(b.sums.sum() / b.counts.sum()))


def _differing_side(a: Side, b: Side, keys: list[Key], new_tasks: bool) -> str | None:
    """``a`` or ``b`` where only this side's runs differ, on which a test with few runs errs most."""
    if not (a.enough_runs and b.enough_runs):
        return None
    side = int(crossed_runs.differing_side(_parts(a, b, keys, new_tasks, pair=False)))
    return "ab"[side] if side >= 0 else None


def _interval(parts: crossed_runs.Components, keys: list[Key], new_tasks: bool) -> tuple[float, float, float]:
    """95 % interval and p-value; without spread there is no interval, and p follows Laplace's rule."""
    found = crossed_runs.estimate(parts)
    grouping = units_of(keys, new_tasks)
    p = float(crossed_runs.p_values(found, len(grouping.units), grouping.strata))
    if not np.isfinite(found.variance):
        return np.nan, np.nan, p
    value, half = float(found.value), float(found.half_width())
    return value - half, value + half, p


def _wins(first: Side, second: Side, a: list[Row], b: list[Row], keys: list[Key]) -> dict[str, Any]:
    """Pairs with the higher mean reward on either side; McNemar's p where each pair is one 0/1 episode a side."""
    apart = first.sums.sum(0) / first.counts.sum(0) - second.sums.sum(0) / second.counts.sum(0)
    numbers = {"wins": int((apart > 1e-12).sum()), "losses": int((apart < -1e-12).sum())}
    inside = set(keys)
    binary = all(row["reward"] in (0.0, 1.0) for row in done(a) + done(b) if key_of(row) in inside)
    if binary and len(first.runs) == len(second.runs) == 1:
        return numbers | {"p_mcnemar": statistics.mcnemar(numbers["wins"], numbers["losses"])}
    return numbers


def plain(value: Any) -> Any:
    """A numpy number as Python's, NaN as None."""
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value.item() if isinstance(value, np.generic) else value
