"""What differs along with a score: how the two models act, and in which categories of tasks their rewards differ most.

These are contrasts, not causes; the page says so.
"""

from math import hypot, sqrt
from statistics import mean, stdev

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import Candidate, compared_in, short_labels
from agentmerge_hub.analysis.error_analysis import MEASURES
from agentmerge_hub.plural import counted

CLEAR = 2.0
"""Standard errors of the difference from which a contrast is named, and only if it is 5 points or more."""
SMALL = 0.05
LEAST_EPISODES = 4
"""Episodes of each model from which rates are contrasted: with three, all against none has Fisher's exact p = .1."""
LEAST_TASKS = 3
"""Tasks of a category from which its mean difference has an error."""
MOST = 4
OUTCOMES = ("early", "out_of_steps")
"""Measures that restate the failure instead of describing how the model acts."""


def sentences(comparisons: list[dict], behaviour: list[dict], by_task: list[dict]) -> list[str]:
    """A sentence or two for each comparison with the paper's baseline (with all others where it is absent)."""
    rows = [row for row in comparisons if row["method_b"] == labels.BASELINE] or comparisons
    found = []
    for row in (row for row in rows if row["pairs"]):
        a, b = compared_in(row)
        names = short_labels([a, b])
        parts = [
            part for part in (_acts(row["split"], a, b, behaviour), _categories(row["split"], a, b, by_task)) if part
        ]
        if parts:
            where = ", ".join(part for part in (labels.split(row["split"]), _setting(a)) if part)
            found.append(f"{names[a]} against {names[b]} ({where}): {'; '.join(parts)}.")
    return found


def _setting(candidate: Candidate) -> str:
    rate = f"lr {labels.rate(candidate.learning_rate)}" if candidate.learning_rate is not None else ""
    return ", ".join(part for part in (f"{candidate.agent} agent" if candidate.agent else "", rate) if part)


def _acts(split: str, a: Candidate, b: Candidate, behaviour: list[dict]) -> str:
    rows = {Candidate(*(row[key] for key in Candidate._fields)): row for row in behaviour if row["split"] == split}
    if a not in rows or b not in rows or min(rows[side]["episodes"] for side in (a, b)) < LEAST_EPISODES:
        return ""
    contrasts = []
    for measure in MEASURES:
        mine, other = rows[a][measure.name], rows[b][measure.name]
        if measure.name in OUTCOMES or mine is None or other is None or abs(mine - other) < SMALL:
            continue
        error = hypot(*(_error(rows[side], measure.name) for side in (a, b)))
        if abs(mine - other) > CLEAR * error:
            contrasts.append((abs(mine - other), f"{measure.title} {mine:.0%} against {other:.0%}"))
    contrasts.sort(key=lambda contrast: -contrast[0])
    return ", ".join(text for _, text in contrasts[:MOST])


def _error(row: dict, name: str) -> float:
    """Standard error of a rate; where all episodes agree, that of a share with one more of either kind (Laplace's rule)."""
    n = row["episodes"]
    return row[f"{name}_se"] or sqrt((n + 1) / (n + 2) ** 2 / n)


def _categories(split: str, a: Candidate, b: Candidate, by_task: list[dict]) -> str:
    """The categories with the largest and smallest gain over tasks both finished, if the two are CLEAR apart."""
    rewards: dict[tuple[str, str], dict[Candidate, float]] = {}
    for row in by_task:
        candidate = Candidate(*(row[key] for key in Candidate._fields))
        if row["split"] == split and candidate in (a, b) and row["reward"] is not None and row["category"]:
            rewards.setdefault((row["category"], row["task"]), {})[candidate] = row["reward"]
    gains: dict[str, list[float]] = {}
    for (category, _), found in rewards.items():
        if len(found) == 2:
            gains.setdefault(category, []).append(found[a] - found[b])
    means = sorted(
        (mean(values), category, stdev(values) / sqrt(len(values)), len(values))
        for category, values in gains.items()
        if len(values) >= LEAST_TASKS
    )
    if len(means) < 2:
        return ""
    (low, worst, low_error, n_worst), (high, best, high_error, n_best) = means[0], means[-1]
    if high - low < SMALL or high - low <= CLEAR * hypot(low_error, high_error):
        return ""
    return f"{_points(high)} points in {best} ({counted(n_best, 'task')}), {_points(low)} in {worst} ({counted(n_worst, 'task')})"


def _points(value: float) -> str:
    return f"{round(100 * value):+d}".replace("-", "−")
