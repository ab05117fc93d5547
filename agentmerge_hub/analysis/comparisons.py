"""Paired comparisons: the same (task, seed) under two methods.

Which error counts depends on the claim. `inter_task` speaks about these tasks with new seeds, so its unit is the pair;
`cross_task` speaks about tasks not yet seen, so its unit is the task. Both are computed for every split; ``p`` and the
interval ``low``–``high`` are those of the split's own claim.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from agentmerge_hub.analysis import statistics
from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.episodes import Results, Row, done
from agentmerge_hub.analysis.planning import sample_size

TASK_CLAIMS = ("cross_task", "validation")
"""Splits whose claim is about new tasks."""


@dataclass(frozen=True)
class Pairs:
    """Aligned by (task, seed): the mean reward of each side over its runs; success where one run each makes a pair."""

    tasks: np.ndarray
    seeds: np.ndarray
    a: np.ndarray
    b: np.ndarray
    success_a: np.ndarray | None
    success_b: np.ndarray | None
    only_a: int
    only_b: int

    @property
    def differences(self) -> np.ndarray:
        return self.a - self.b


def pair(a: list[Row], b: list[Row]) -> Pairs:
    """Pairs of finished episodes; what has no partner is counted."""
    left, right = _cells(a), _cells(b)
    keys = sorted(left.keys() & right.keys())
    single = bool(keys) and all(len(left[key]) == len(right[key]) == 1 for key in keys)

    def mean(cells: dict, name: str) -> np.ndarray:
        return np.array([np.mean([row[name] for row in cells[key]]) for key in keys], float)

    return Pairs(
        tasks=np.array([task for task, _ in keys]),
        seeds=np.array([seed for _, seed in keys]),
        a=mean(left, "reward"),
        b=mean(right, "reward"),
        success_a=mean(left, "success") if single else None,
        success_b=mean(right, "success") if single else None,
        only_a=len(left.keys() - right.keys()),
        only_b=len(right.keys() - left.keys()),
    )


def _cells(rows: list[Row]) -> dict[tuple, list[Row]]:
    cells: dict[tuple, list[Row]] = {}
    for row in done(rows):
        cells.setdefault((row["task"], row["seed"]), []).append(row)
    return cells


def compare(a: list[Row], b: list[Row], split: str, *, draws: int = 10_000, seed: int = 0) -> dict:
    """Every number of one comparison, A minus B. Numbers that the data can't give are None."""
    pairs = pair(a, b)
    row: dict[str, Any] = {"pairs": len(pairs.a), "only_a": pairs.only_a, "only_b": pairs.only_b}
    if not len(pairs.a):
        return row
    d, tasks, seeds = pairs.differences, pairs.tasks, pairs.seeds
    names = sorted(set(tasks))
    by_pair = statistics.fixed_task_interval(d, tasks, seeds)
    by_task = statistics.new_task_interval(d, tasks, draws=draws, seed=seed)
    p_pairs = statistics.sign_flip(d, seed=seed)
    p_tasks = statistics.sign_flip([d[tasks == name].sum() for name in names], seed=seed)
    better = statistics.improvement(
        [pairs.a[tasks == name] for name in names], [pairs.b[tasks == name] for name in names], draws=draws, seed=seed
    )
    new_tasks = split in TASK_CLAIMS
    row |= {
        "tasks": len(names),
        "mean_a": pairs.a.mean(),
        "mean_b": pairs.b.mean(),
        "difference": d.mean(),
        "low": (by_task if new_tasks else by_pair)[0],
        "high": (by_task if new_tasks else by_pair)[1],
        "p": p_tasks if new_tasks else p_pairs,
        "unit": "task" if new_tasks else "pair",
        "se_fixed_tasks": statistics.fixed_task_error(d, tasks, seeds),
        "low_fixed_tasks": by_pair[0],
        "high_fixed_tasks": by_pair[1],
        "se_new_tasks": statistics.new_task_error(d, tasks),
        "low_new_tasks": by_task[0],
        "high_new_tasks": by_task[1],
        "p_sign_flip_pairs": p_pairs,
        "p_sign_flip_tasks": p_tasks,
        "improvement": better[0],
        "improvement_low": better[1],
        "improvement_high": better[2],
    }
    error = row["se_new_tasks"] if new_tasks else row["se_fixed_tasks"]
    row["smallest_difference"] = np.nan if np.isnan(error) else sample_size.smallest_difference(error)
    if pairs.success_a is not None:
        wins = int((pairs.success_a > pairs.success_b).sum())
        losses = int((pairs.success_a < pairs.success_b).sum())
        row |= {"wins": wins, "losses": losses, "p_mcnemar": statistics.mcnemar(wins, losses)}
    return {key: _plain(value) for key, value in row.items()}


def _plain(value: object) -> object:
    if isinstance(value, float | np.floating):
        return None if np.isnan(value) else float(value)
    return value


def table(
    results: Results, candidates: list[Candidate], focus: str, *, draws: int = 10_000, seed: int = 0
) -> list[dict]:
    """The method in focus against every other method under the same agent, split by split.

    Methods meet at the same learning rate; one that shares no rate with the focus (the untouched instruct model has
    none) is met at whatever rates it has. Holm's correction runs over all comparisons of a split and agent, because a
    reader looks through them for a small p.
    """
    rows = []
    for split in (split for split in results.splits if split != "validation"):
        episodes = results.by_candidate(split)
        for agent in dict.fromkeys(candidate.agent for candidate in candidates):
            family = []
            for a, b in _meetings([c for c in candidates if c.agent == agent], focus):
                numbers = compare(episodes.get(a, []), episodes.get(b, []), split, draws=draws, seed=seed)
                names = {f"{key}_a": value for key, value in a._asdict().items() if key != "agent"}
                names |= {f"{key}_b": value for key, value in b._asdict().items() if key != "agent"}
                family.append({"split": split, "agent": agent, **names, **numbers})
            for row, adjusted in zip(family, statistics.holm([row.get("p", np.nan) for row in family])):
                row["p_holm"] = _plain(adjusted)
            rows += family
    return rows


def _meetings(candidates: list[Candidate], focus: str) -> list[tuple[Candidate, Candidate]]:
    mine = [candidate for candidate in candidates if candidate.method == focus]
    rates = {candidate.learning_rate for candidate in mine}
    pairs = []
    for a in mine:
        for method in dict.fromkeys(c.method for c in candidates if c.method != focus):
            others = [c for c in candidates if c.method == method]
            shared = any(b.learning_rate in rates for b in others)
            pairs += [(a, b) for b in others if not shared or b.learning_rate == a.learning_rate]
    return pairs
