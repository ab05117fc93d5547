"""How many episodes settle a difference: two-sided tests at 5 %, with 80 % power unless said otherwise.

Rewards and differences are fractions (0.05 = five points).
"""

from math import ceil, sqrt

from agentmerge_hub.analysis import labels
from agentmerge_hub.errors import UserError

KEYS = ("split", "agent", "learning_rate_a", "merge_lambda_a", "method_b")
DIFFERENCES = (0.02, 0.05, 0.1)
DISCORDANT = (0.1, 0.2, 0.3)
"""Shares of pairs that end differently: paired sizes depend on it, and it is known only after a pilot."""


def _z(alpha: float, power: float) -> tuple[float, float]:
    from scipy.stats import norm

    return float(norm.ppf(1 - alpha / 2)), float(norm.ppf(power))


def smallest_difference(se: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The difference that a comparison with standard error `se` finds with this power."""
    return sum(_z(alpha, power)) * se


def unpaired(rate: float, difference: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Episodes an arm when the arms run different episodes: two proportions, pooled under the null (Fleiss)."""
    other = rate + difference
    middle = (rate + other) / 2
    a, b = _z(alpha, power)
    spread = a * sqrt(2 * middle * (1 - middle)) + b * sqrt(rate * (1 - rate) + other * (1 - other))
    return ceil((spread / difference) ** 2)


def paired(difference: float, discordant: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs, when a share `discordant` of them differs in success (Connor, 1987, for McNemar's test)."""
    a, b = _z(alpha, power)
    spread = a * sqrt(discordant) + b * sqrt(discordant - difference**2)
    return ceil((spread / difference) ** 2)


def tasks_needed(
    difference: float, between: float, within: float, seeds: int, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """New tasks, each with this many seeds, for a claim about new tasks.

    Args:
        between: variance between tasks of the true paired difference.
        within: variance of a pair's difference within a task.
    """
    return ceil((between + within / seeds) * (sum(_z(alpha, power)) / difference) ** 2)


def pairs_needed(difference: float, within: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs for a claim about the same tasks, from the variance of a pair's difference within a task."""
    return ceil(within * (sum(_z(alpha, power)) / difference) ** 2)


def rate_above_none(n: int, level: float = 0.95) -> float:
    """Upper bound of a success rate after no success in n episodes (Clopper and Pearson, one-sided)."""
    return 1 - (1 - level) ** (1 / n)


def variances(pairs: int, tasks: int, se_fixed_tasks: float, se_new_tasks: float) -> tuple[float, float]:
    """Variance of a paired difference between tasks and within a task, from the two standard errors of their mean."""
    within = se_fixed_tasks**2 * pairs
    return max(0.0, se_new_tasks**2 * tasks - within * tasks / pairs), within


def table(comparisons: list[dict], differences: tuple[float, ...] = DIFFERENCES) -> list[dict]:
    """What each comparison would have needed to settle a difference: pairs on these tasks, and new tasks."""
    rows = []
    for row in comparisons:
        if not row.get("se_fixed_tasks") or not row.get("se_new_tasks"):
            continue
        between, within = variances(row["pairs"], row["tasks"], row["se_fixed_tasks"], row["se_new_tasks"])
        seeds = max(1, round(row["pairs"] / row["tasks"]))
        for difference in differences:
            rows.append(
                {
                    **{key: row[key] for key in KEYS},
                    "difference": difference,
                    "pairs_on_these_tasks": pairs_needed(difference, within),
                    "new_tasks": tasks_needed(difference, between, within, seeds),
                    "seeds_a_task": seeds,
                    "variance_between_tasks": between,
                    "variance_within_tasks": within,
                }
            )
    return rows


def wide(rows: list[dict]) -> list[dict]:
    """The plan against the paper's baseline (against all where it is absent), one row a comparison, for a page."""
    main = [row for row in rows if row["method_b"] == labels.BASELINE] or rows
    lines: dict[tuple, dict] = {}
    for row in main:
        names = {key: row[key] for key in KEYS}
        line = lines.setdefault(tuple(names.values()), {**names, "seeds_a_task": row["seeds_a_task"], "cells": []})
        line["cells"].append(row)
    return list(lines.values())


def answers(
    rate: float, difference: float, power: float, alpha: float, seeds: int, between: float
) -> list[tuple[str, str]]:
    """Designs and their sizes, in words.

    Raises:
        UserError: if no study can settle such a difference.
    """
    for name, value in (("--rate", rate), ("--power", power), ("--alpha", alpha)):
        if not 0 < value < 1:
            raise UserError(f"{name} is {value:g}: give a number between 0 and 1")
    if not difference > 0 or rate + difference >= 1:
        raise UserError(
            f"--difference is {difference:g}: with a rate of {rate:g} it must lie between 0 and {1 - rate:g}"
        )
    if seeds < 1 or between < 0:
        raise UserError("--seeds must be at least 1 and --between at least 0")
    level = {"alpha": alpha, "power": power}
    lines = [("different episodes for each method", f"{unpaired(rate, difference, **level):,} episodes a method")]
    for share in DISCORDANT:
        if share > difference:
            size = paired(difference, share, **level)
            lines.append((f"the same tasks and seeds, {share:.0%} of the pairs end differently", f"{size:,} pairs"))
            within = max(0.0, share - difference**2 - between**2)
            tasks = tasks_needed(difference, between**2, within, seeds, **level)
            lines.append(
                (
                    f"new tasks with {seeds} seeds each, {share:.0%} end differently",
                    f"{tasks:,} tasks, {tasks * seeds:,} pairs",
                )
            )
    return lines
