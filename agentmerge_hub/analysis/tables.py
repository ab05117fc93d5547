"""Tables of the report as lists of flat rows, and their CSV and Parquet files."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.analysis import statistics
from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.comparisons import TASK_CLAIMS, _plain
from agentmerge_hub.analysis.episodes import Results, Row, done

SIGNS = ("missing", "crashed")


def scores(rows: list[Row], split: str) -> dict:
    """Mean reward and success of one candidate's episodes in one split, with the three errors.

    ``se`` is the one of the split's own claim: new tasks for cross_task, fixed tasks elsewhere.
    """
    finished = done(rows)
    counts = {status: sum(row["status"] == status for row in rows) for status in SIGNS}
    asked = {"n": len(finished), **counts, "asked": len(rows), "tasks": len({row["task"] for row in finished})}
    asked["runs"] = len({row["run_seed"] for row in finished})
    if not finished:
        return asked
    reward = np.array([row["reward"] for row in finished], float)
    tasks = np.array([row["task"] for row in finished])
    seeds = np.array([row["seed"] for row in finished])
    fixed = statistics.fixed_task_error(reward, tasks, seeds)
    new = statistics.new_task_error(reward, tasks)
    numbers = {
        "reward": reward.mean(),
        "se": new if split in TASK_CLAIMS else fixed,
        "se_binomial": statistics.binomial_error(reward),
        "se_fixed_tasks": fixed,
        "se_new_tasks": new,
        "success": float(np.mean([row["success"] for row in finished])),
        "reward_if_unfinished_failed": reward.sum() / len(rows),
    }
    if asked["runs"] > 1:
        runs = [row["run_seed"] for row in finished]
        means = [np.mean([value for value, run in zip(reward, runs) if run == this]) for this in set(runs)]
        numbers |= {"reward_lowest_run": min(means), "reward_highest_run": max(means)}
    return {**asked, **{key: _plain(float(value)) for key, value in numbers.items()}}


def table1(results: Results, candidates: list[Candidate] | None = None) -> list[dict]:
    """Candidates × splits, one row each; all candidates of the results if none are named."""
    rows = []
    for split in results.splits:
        for candidate, episodes in results.by_candidate(split).items():
            if candidates is None or (candidate in candidates and split != "validation"):
                rows.append({"split": split, **candidate._asdict(), **scores(episodes, split)})
    return rows


def on_same_episodes(
    results: Results, candidates: list[Candidate], split: str, beside: tuple[Candidate, ...] = ()
) -> list[dict]:
    """Scores of candidates on the episodes of a split that all of them finished: what a line through them may compare.

    Args:
        candidates: those that finished none of the split's are left out.
        beside: more candidates, each added if it finished all of these episodes.
    """
    finished = {candidate: done(rows) for candidate, rows in results.by_candidate(split).items()}
    keys = {candidate: {(row["task"], row["seed"]) for row in rows} for candidate, rows in finished.items() if rows}
    mine = [candidate for candidate in candidates if candidate in keys]
    if not mine:
        return []
    common = set.intersection(*(keys[candidate] for candidate in mine))
    mine += [candidate for candidate in beside if common <= keys.get(candidate, set())]
    shared = {c: [row for row in finished[c] if (row["task"], row["seed"]) in common] for c in mine if common}
    return [{"split": split, **candidate._asdict(), **scores(rows, split)} for candidate, rows in shared.items()]


def by_task(results: Results, candidates: list[Candidate]) -> list[dict]:
    """Success of each candidate by task, with the task's category."""
    rows = []
    for split in results.splits:
        for candidate, episodes in results.by_candidate(split).items():
            if candidate not in candidates:
                continue
            tasks: dict[tuple[str, str], list[Row]] = {}
            for row in episodes:
                tasks.setdefault((row["category"] or "", row["task"]), []).append(row)
            for (category, task), mine in sorted(tasks.items()):
                finished = done(mine)
                mean = float(np.mean([row["reward"] for row in finished])) if finished else None
                rows.append(
                    {
                        "split": split,
                        **candidate._asdict(),
                        "category": category,
                        "task": task,
                        "n": len(finished),
                        "asked": len(mine),
                        "reward": mean,
                    }
                )
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
