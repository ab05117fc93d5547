"""Tables of the report as lists of flat rows, and their CSV and Parquet files."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.analysis import statistics
from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.common_episodes import Shared, within
from agentmerge_hub.analysis.comparisons import NEW_TASK_SPLITS, plain, reward_bounds, side, units_of
from agentmerge_hub.analysis.episodes import Results, Row, by_run, done, key_of
from agentmerge_hub.analysis.statistics import crossed_runs

LOST = ("missing", "crashed")


def scores(rows: list[Row], split: str) -> dict:
    """Mean reward and success of one candidate's episodes in one split, with their standard errors.

    ``se`` is the error of the split's own claim: new tasks for cross_task and validation, new seeds of the same tasks
    elsewhere. From three independent training runs on it includes the variation between runs, else it holds the runs fixed.
    """
    finished = done(rows)
    counts = {status: sum(row["status"] == status for row in rows) for status in LOST}
    numbers: dict[str, Any] = {
        "n": len(finished),
        **counts,
        "planned": len(rows),
        "tasks": len({row["task"] for row in finished}),
        "task_seeds": len({key_of(row) for row in finished}),
        "runs": len({row["run_seed"] for row in finished}),
    }
    if not finished:
        return numbers
    reward = np.array([row["reward"] for row in finished], float)
    numbers |= {
        "reward": reward.mean(),
        "se": _error(finished, split in NEW_TASK_SPLITS),
        "se_binomial": statistics.binomial_error(reward),
        "se_same_tasks": _error(finished, False),
        "se_new_tasks": _error(finished, True),
        "success": float(np.mean([row["success"] for row in finished])),
        "reward_if_unfinished_failed": (reward.sum() + reward_bounds(rows)[0] * (len(rows) - len(finished)))
        / len(rows),
    }
    if numbers["runs"] > 1:
        means = [float(np.mean([row["reward"] for row in run])) for run in by_run(finished).values()]
        numbers |= {"reward_lowest_run": min(means), "reward_highest_run": max(means)}
        numbers["reward_by_run"] = " ".join(f"{mean:.4f}" for mean in means)
    return {key: plain(value) for key, value in numbers.items()}


def _error(rows: list[Row], new_tasks: bool) -> float:
    """Standard error of the mean; NaN where the data cannot give it."""
    keys = sorted({key_of(row) for row in rows})
    mine = side(rows, keys)
    assert mine is not None
    grouping = units_of(keys, new_tasks)
    values = grouping.values(mine)
    if not mine.enough_runs:
        values = values.mean(0, keepdims=True)
    parts = crossed_runs.components(values, strata=grouping.strata, shares=grouping.shares)
    return float(np.sqrt(crossed_runs.estimate(parts).variance))


def table1(results: Results, candidates: list[Candidate] | None = None, shared: Shared | None = None) -> list[dict]:
    """Candidates × splits, one row each; all candidates of the results if none are named.

    Args:
        shared: the episodes to describe; all of a candidate's where its split is absent.
    """
    rows = []
    for split in results.splits:
        for candidate, episodes in results.by_candidate(split).items():
            if candidates is None or (candidate in candidates and split != "validation"):
                described = within(episodes, split, candidate, shared)
                rows.append({"split": split, **candidate._asdict(), **scores(described, split)})
    return rows


def on_same_episodes(
    results: Results, candidates: list[Candidate], split: str, optional: tuple[Candidate, ...] = ()
) -> list[dict]:
    """Scores of candidates on the episodes of a split that all of them finished, so that a line through them is fair.

    Args:
        candidates: those that finished none of the split's episodes are left out.
        optional: more candidates, each added if it finished all of these episodes.
    """
    finished = {candidate: done(rows) for candidate, rows in results.by_candidate(split).items()}
    keys = {candidate: {key_of(row) for row in rows} for candidate, rows in finished.items() if rows}
    mine = [candidate for candidate in candidates if candidate in keys]
    if not mine:
        return []
    common = set.intersection(*(keys[candidate] for candidate in mine))
    mine += [candidate for candidate in optional if common <= keys.get(candidate, set())]
    shared = {c: [row for row in finished[c] if key_of(row) in common] for c in mine if common}
    return [{"split": split, **candidate._asdict(), **scores(rows, split)} for candidate, rows in shared.items()]


def by_task(results: Results, candidates: list[Candidate], shared: Shared | None = None) -> list[dict]:
    """Mean reward of each candidate by task, with the task's category."""
    rows = []
    for split in results.splits:
        for candidate, episodes in results.by_candidate(split).items():
            if candidate not in candidates:
                continue
            tasks: dict[tuple[str, str], list[Row]] = {}
            for row in within(episodes, split, candidate, shared):
                tasks.setdefault((row["category"] or "", row["task"]), []).append(row)
            for (category, task), mine in sorted(tasks.items()):
                finished = done(mine)
                mean = float(np.mean([row["reward"] for row in finished])) if finished else None
                about = {"split": split, **candidate._asdict(), "category": category, "task": task}
                rows.append({**about, "n": len(finished), "planned": len(mine), "reward": mean})
    return rows


EPISODE = (
    "split", "agent", "method", "learning_rate", "samples_seen", "merge_lambda", "run_seed", "category", "task", "seed",
    "status", "reward", "success", "steps", "error_class", "truncated", "answers", "think_answers", "parse_retries",
    "copied_example_actions", "copied_example_off_page", "copied_example_first_step", "invalid_bid_actions",
)  # fmt: skip
"""Columns of the results that the report counts."""


def episodes(results: Results, pages: dict[str, str], key: Callable[[Row], str]) -> list[dict]:
    """The rows behind every number, with what was read in their traces and the page that shows each."""
    return [
        {
            **{name: row[name] for name in EPISODE},
            "longest_repeat": row.get("longest_repeat"),
            "page": pages.get(key(row)),
        }
        for row in results.rows
    ]


def write(folder: Path, name: str, rows: list[dict]) -> None:
    """`rows` as name.csv and name.parquet; nothing for an empty table."""
    if not rows:
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    complete = [{column: row.get(column) for column in columns} for row in rows]
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(complete)
    pq.write_table(pa.Table.from_pylist(complete), folder / f"{name}.parquet")
