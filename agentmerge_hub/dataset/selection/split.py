"""Splits by task and by (task, seed), never by step; a normalized goal is never in two splits.

- ``validation``: tasks named for it, on which λ is learned and checkpoints are chosen;
- ``cross_task``: tasks that BrowserGym marks as test, or that are held out by name or category;
- ``inter_task``: reserved seeds of the other tasks;
- ``train``: the rest.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable

from agentmerge_hub.dataset.selection.tasks import task
from agentmerge_hub.dataset.settings import Settings

SPLITS = ("train", "inter_task", "cross_task")

VALIDATION = "validation"
"""The split of `Settings.validation_tasks`; a dataset without such tasks does not have it."""

MIN_PAIRS_TO_DRAW = 5
"""With at least so many (task, seed) pairs one is reserved, so that a small dataset has the split too."""

Run = tuple[str, int, str]
"""Task, seed, and key of the goal; an empty key means that the goal is unknown."""


def split_names(found: Iterable[str]) -> tuple[str, ...]:
    """The splits of a dataset, given those that its rows have."""
    return (*SPLITS, VALIDATION) if VALIDATION in set(found) else SPLITS


def is_held_out(name: str, settings: Settings) -> bool:
    """Whether a task goes to cross_task."""
    known = task(name)
    return name not in settings.validation_tasks and (
        name in settings.hold_out_tasks
        or known.category in settings.hold_out_categories
        or (settings.benchmark_split and known.split == "test")
    )


def assign(runs: Iterable[Run], settings: Settings) -> dict[Run, str]:
    """The split of each run. A run that would put its goal into two splits gets none and is missing from the result.

    With reserved seed ranges, a reserved run whose goal is also in train is left out. With a share, only goals that belong
    to a single (task, seed) are drawn, so that none is left out. A run of a held-out task whose goal another task has is
    left out, and so is a run of a validation task.
    """
    runs = sorted(set(runs))
    held_out = [run for run in runs if is_held_out(run[0], settings)]
    validation = [run for run in runs if run[0] in settings.validation_tasks]
    apart = {*settings.validation_tasks, *(name for name, _, _ in held_out)}
    in_domain = [run for run in runs if run[0] not in apart]
    in_domain_goals = {goal for _, _, goal in in_domain if goal}
    split = {run: "cross_task" for run in held_out if run[2] not in in_domain_goals}
    reported_goals = in_domain_goals | {goal for _, _, goal in split if goal}
    split |= {run: VALIDATION for run in validation if run[2] not in reported_goals}
    if settings.inter_seeds:
        reserved = {run for run in in_domain if any(low <= run[1] <= high for low, high in settings.inter_seeds)}
        training_goals = {goal for task_, seed, goal in in_domain if goal and (task_, seed, goal) not in reserved}
        left_out = {run for run in reserved if run[2] in training_goals}
    else:
        reserved, left_out = _draw(in_domain, settings), set()
    for run in in_domain:
        if run not in left_out:
            split[run] = "inter_task" if run in reserved else "train"
    return split


def _draw(runs: list[Run], settings: Settings) -> set[Run]:
    seeds_of_goal, goals_of_seed = defaultdict(set), defaultdict(set)
    for name, seed, goal in runs:
        goals_of_seed[name, seed].add(goal)
        if goal:
            seeds_of_goal[goal].add((name, seed))
    unique = [key for key, goals in goals_of_seed.items() if all(len(seeds_of_goal[goal]) <= 1 for goal in goals)]
    drawn = {key: draw(f"{key[0]}/{key[1]}", settings.seed) for key in unique}
    reserved = {key for key in unique if drawn[key] < settings.inter_share}
    if not reserved and settings.inter_share and len(unique) >= MIN_PAIRS_TO_DRAW:
        reserved = {min(unique, key=drawn.__getitem__)}
    return {run for run in runs if run[:2] in reserved}


def draw(name: str, seed: int) -> float:
    """A number in [0, 1) that depends on the name and the seed unique, on every machine and in any order."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") / 2**64
