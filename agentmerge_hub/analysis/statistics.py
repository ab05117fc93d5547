"""Means, their errors, and paired tests: numpy arrays in, floats out. Nothing here knows what a method is.

Three standard errors of one mean differ in what they let vary:

- *binomial*: every episode is a draw of its own (AgentLab's number);
- *fixed tasks*: the tasks stay, their seeds are drawn anew (inter-task claims);
- *new tasks*: the tasks themselves are drawn anew (cross-task claims).

None of them holds the variation between training runs.
"""

from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
NAN = float("nan")
PIECE = 5_000
"""Random flips made at once, to bound the memory."""


def binomial_error(values: ArrayLike) -> float:
    """√(p(1 − p)/n) of 0/1 rewards, s/√n of others: what AgentLab reports. NaN without values."""
    values = np.asarray(values, float)
    n = len(values)
    if n == 0:
        return NAN
    if np.isin(values, (0.0, 1.0)).all():
        return float(np.sqrt(values.mean() * (1 - values.mean()) / n))
    return float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else NAN


def fixed_task_error(values: ArrayLike, tasks: ArrayLike, seeds: ArrayLike) -> float:
    """Standard error of the mean over the same tasks with new seeds: tasks are strata, seeds the sampling units.

    Episodes of one (task, seed) count as one unit. A task with a single seed takes the mean variance of the others;
    NaN if every task has a single seed. (Cochran, Sampling Techniques, 1977, §5.6 and §5A.12.)
    """
    variance, _ = _stratified(values, tasks, seeds)
    return float(np.sqrt(variance))


def fixed_task_interval(
    values: ArrayLike, tasks: ArrayLike, seeds: ArrayLike, level: float = 0.95
) -> tuple[float, float]:
    """Interval of the mean over these tasks: Student's t with Satterthwaite's degrees of freedom."""
    from scipy.stats import t

    variance, freedom = _stratified(values, tasks, seeds)
    mean = float(np.mean(values)) if len(np.asarray(values)) else NAN
    if np.isnan(variance) or variance == 0:
        return (NAN, NAN)
    half = t.ppf((1 + level) / 2, freedom) * np.sqrt(variance)
    return float(mean - half), float(mean + half)


def _stratified(values: ArrayLike, tasks: ArrayLike, seeds: ArrayLike) -> tuple[float, float]:
    """Variance of the mean and its degrees of freedom."""
    values = np.asarray(values, float)
    variances, units = [], []
    for rows in _groups(tasks):
        residuals = values[rows] - values[rows].mean()
        sums = np.array([residuals[unit].sum() for unit in _groups(np.asarray(seeds)[rows])])
        units.append(len(sums))
        variances.append(len(sums) / (len(sums) - 1) * (sums**2).sum() if len(sums) > 1 else NAN)
    parts, counts = np.array(variances), np.array(units)
    known = ~np.isnan(parts)
    if not known.any():
        return NAN, NAN
    per_unit = parts[known].sum() / counts[known].sum()
    total = parts[known].sum() + per_unit * counts[~known].sum()
    spread = (parts[known] ** 2 / (counts[known] - 1)).sum()
    freedom = parts[known].sum() ** 2 / spread if spread > 0 else NAN
    return float(total / len(values) ** 2), float(freedom)


def new_task_error(values: ArrayLike, tasks: ArrayLike) -> float:
    """Standard error of the mean over new tasks: residuals summed by task, G/(G − 1) for G tasks. NaN for one task.

    The cluster-robust error of a regression on a constant (Liang and Zeger, 1986; CR1).
    """
    values = np.asarray(values, float)
    if len(values) == 0:
        return NAN
    residuals = values - values.mean()
    sums = np.array([residuals[rows].sum() for rows in _groups(tasks)])
    if len(sums) < 2:
        return NAN
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def new_task_interval(
    values: ArrayLike, tasks: ArrayLike, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean over new tasks: whole tasks are drawn with replacement, percentiles widened for few tasks.

    The percentiles are those of Hesterberg (2015, "expanded percentile"): Student's t with G − 1 degrees of freedom and
    G/(G − 1) put back the spread that resampling few tasks loses. NaN below two tasks, or where all tasks agree.
    """
    values = np.asarray(values, float)
    groups = _groups(tasks)
    if len(groups) < 2:
        return (NAN, NAN)
    sums = np.array([values[rows].sum() for rows in groups])
    counts = np.array([len(rows) for rows in groups], float)
    weights = resamples(len(groups), draws, seed)
    return expanded_percentiles(weights @ sums / (weights @ counts), len(groups), level)


@lru_cache(maxsize=8)
def resamples(groups: int, draws: int, seed: int) -> Floats:
    """How often each group is drawn, (draws, groups), of as many draws with replacement as there are groups."""
    weights = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=draws).astype(float)
    weights.flags.writeable = False
    return weights


def expanded_percentiles(means: Floats, groups: int, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap percentiles at the level that a t interval over `groups` units would have."""
    from scipy.stats import norm, t

    if np.ptp(means) == 0:
        return (NAN, NAN)
    tail = norm.cdf(-np.sqrt(groups / (groups - 1)) * t.ppf((1 + level) / 2, groups - 1))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def sign_flip(differences: ArrayLike, *, draws: int = 100_000, seed: int = 0) -> float:
    """Two-sided p-value of Σ differences when the sign of each unit is a fair coin.

    Units are pairs, or tasks with their pairs summed. Exact where the differences are multiples of 1, 1/2, … 1/12 (0/1
    rewards always are), by convolution; else by `draws` random flips, with the observed one counted.
    """
    units = np.asarray(differences, float)
    units = units[units != 0]
    if len(units) == 0:
        return 1.0
    observed = abs(units.sum())
    for parts in range(1, 13):
        scaled = np.abs(units) * parts
        if np.allclose(scaled, np.round(scaled), atol=1e-9):
            return _exact_sign_flip(np.round(scaled).astype(int), round(observed * parts))
    random, hits = np.random.default_rng(seed), 0
    for begin in range(0, draws, PIECE):
        flips = random.integers(0, 2, size=(min(PIECE, draws - begin), len(units)), dtype=np.int8)
        hits += int((np.abs((2.0 * flips - 1) @ units) >= observed - 1e-12).sum())
    return (hits + 1) / (draws + 1)


def _exact_sign_flip(sizes: NDArray[np.int_], observed: int) -> float:
    chance = np.ones(1)
    for size in sizes:
        chance = (np.pad(chance, (2 * size, 0)) + np.pad(chance, (0, 2 * size))) / 2
    sums = np.arange(len(chance)) - sizes.sum()
    return float(min(1.0, chance[np.abs(sums) >= observed].sum()))


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided McNemar test: wins among the pairs that differ are a fair coin's."""
    n = wins + losses
    if n == 0:
        return 1.0
    tail = sum(comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n
    return min(1.0, 2 * tail)


def holm(p_values: ArrayLike) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaN stays NaN and is not counted."""
    p = np.asarray(p_values, float)
    adjusted = np.full(len(p), NAN)
    order = [i for i in np.argsort(p) if not np.isnan(p[i])]
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = largest
    return [float(value) for value in adjusted]


def improvement(
    a: list[ArrayLike], b: list[ArrayLike], *, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Probability that an episode of A scores above one of B on the same task, ties counted half, and a 95 % interval.

    Args:
        a, b: rewards by task, in the same order of tasks.

    Mann and Whitney's U over n·m by task, averaged over tasks (Agarwal et al., 2021); the interval draws tasks.
    """
    chances = np.array([_above(np.asarray(x, float), np.asarray(y, float)) for x, y in zip(a, b)])
    if len(chances) < 2:
        return (float(chances.mean()) if len(chances) else NAN, NAN, NAN)
    means = resamples(len(chances), draws, seed) @ chances / len(chances)
    low, high = expanded_percentiles(means, len(chances))
    return float(chances.mean()), max(0.0, low) if low == low else low, min(1.0, high) if high == high else high


def _above(x: Floats, y: Floats) -> float:
    return float(((x[:, None] > y).mean() + (x[:, None] >= y).mean()) / 2)


def _groups(labels: ArrayLike) -> list[NDArray[np.int_]]:
    """Row numbers of each distinct label."""
    _, inverse = np.unique(np.asarray(labels), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse))[:-1]) if len(order) else []
