"""Power of the test in `crossed_runs`, by simulation: components or a planned study in, a probability out."""

from dataclasses import dataclass

import numpy as np

from agentmerge_hub.analysis.statistics.crossed_runs import (
    Components,
    Floats,
    Part,
    components,
    estimate,
    p_values,
    satterthwaite_df,
)


def smallest_difference(
    parts: Components,
    *,
    rates: tuple[float, float] | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    draws: int = 4_000,
    seed: int = 0,
) -> float:
    """The difference that this test finds with this power if the true variances are those estimated; NaN without spread.

    Each draw is a study of the same size: its mean is normal, its variance parts are scaled χ², and it is tested as the
    data were. The run part is taken at its median-unbiased estimate: the estimate from a few runs is more often below the
    truth than above it.

    Args:
        parts: of one study.
        rates: means of the two sides, where rewards lie between 0 and 1: their variance depends on the difference.
        alpha: level of the test; for the first step of Holm's correction, 0.05 / number of comparisons.
    """
    random = np.random.default_rng(seed)

    def draw(part: Part, value: float) -> Part:
        df = float(np.maximum(part[1], 1.0))
        return value * random.chisquare(df, draws) / df, np.full(draws, float(part[1]))

    cells = [float(part[0]) for part in parts.cells]
    units = max(float(parts.units[0]), sum(cells))
    few = _median_bias(parts)
    runs = [max(float(part[0]) * few, cell) for part, cell in zip(parts.runs, cells)]
    excess = sum(runs) - sum(cells)
    noise = random.normal(0, np.sqrt(units + excess), draws)
    drawn = Components(
        noise,
        draw(parts.units, units),
        tuple(draw(part, value) for part, value in zip(parts.runs, runs)),
        tuple(draw(part, value) for part, value in zip(parts.cells, cells)),
    )
    needed = np.nan_to_num(estimate(drawn).half_width(1 - alpha), nan=np.inf)
    low, high = 0.0, 10 * float(np.median(needed))
    if not np.isfinite(high) or high == 0:
        return float("nan")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if np.mean(np.abs(middle + noise) > needed) >= power else (middle, high)
    return high if rates is None else _at_own_variance(high, rates, units, excess)


def _median_bias(parts: Components) -> float:
    """Mean ÷ median of the sampling distribution of the run part; 1 without runs."""
    from scipy.special import chdtri

    if not parts.runs:
        return 1.0
    df = float(satterthwaite_df(parts.runs))
    return df / float(chdtri(df, 0.5))


def _at_own_variance(difference: float, rates: tuple[float, float], units: float, runs: float) -> float:
    """The difference d with d = `difference` · √(variance at d ÷ variance in the data).

    The variance of a rate p is p(1 − p) over units; over runs, which differ in logits, its square. The lower rate stays.
    """
    start = min(rates)

    def variance(a: float, b: float) -> float:
        spreads, old = [x * (1 - x) for x in (a, b)], [x * (1 - x) for x in rates]
        shares = [sum(x**n for x in spreads) / max(sum(x**n for x in old), 1e-12) for n in (1, 2)]
        return (units * shares[0] + runs * shares[1]) / (units + runs)

    found = difference
    for _ in range(30):
        found = (found + difference * variance(start, min(start + found, 0.95)) ** 0.5) / 2
    return found


ROUNDING = 1e-12
"""A success rate this near to 0 or 1 is that."""


@dataclass(frozen=True)
class Design:
    """A study of two methods: each has this many training runs, all scored on the same tasks and seeds."""

    runs: int
    tasks: int
    seeds: int


@dataclass(frozen=True)
class Truth:
    """What is true in a planned study: success of one method is `rate`, of the other `rate + difference`, over all its runs."""

    rate: float
    difference: float
    between: float = 0.0
    """Standard deviation between tasks of the true difference."""
    run_sd: float = 0.0
    """Standard deviation between training runs, in logits."""


def simulated_power(
    design: Design,
    truth: Truth,
    *,
    new_tasks: bool = True,
    paired: bool = True,
    alpha: float = 0.05,
    draws: int = 1_000,
    seed: int = 0,
) -> float:
    """Share of simulated studies whose verdict is right: p below `alpha`, with the sign of the difference.

    Args:
        new_tasks: whether the claim is about new tasks (cross_task) or about these tasks with new seeds (inter_task).
        paired: whether the test pairs runs of the two methods by seed.
    """
    random = np.random.default_rng(seed)
    size = max(1, min(draws, 2_000_000 // (design.runs * design.tasks * (1 if new_tasks else design.seeds))))
    found = done = 0
    while done < draws:
        n = min(size, draws - done)
        rates = rates_of_tasks(random, truth.rate + truth.difference, truth.between, (n, 1, design.tasks))
        strata = None if new_tasks else np.repeat(np.arange(design.tasks), design.seeds)
        a = _study(random, design, rates, truth.run_sd, n, new_tasks)
        b = _study(random, design, np.full((n, 1, design.tasks), truth.rate), truth.run_sd, n, new_tasks)
        tested = estimate(components(a, b, paired=paired, strata=strata))
        p = p_values(tested, a.shape[-1], strata)
        found += int(((p < alpha) & (np.sign(tested.value) == np.sign(truth.difference))).sum())
        done += n
    return found / draws


def rates_of_tasks(random: np.random.Generator, mean: float, sd: float, shape: tuple[int, ...]) -> Floats:
    """Rates with this mean and standard deviation: two values, equally far from the mean where 0 and 1 leave room."""
    if sd == 0:
        return np.full(shape, mean)
    below = max(min(sd, mean), sd**2 / (1 - mean))
    above = sd**2 / below
    return np.where(random.random(shape) < below / (below + above), mean + above, mean - below)


def _study(random: np.random.Generator, design: Design, rate: Floats, run_sd: float, n: int, by_task: bool) -> Floats:
    """Cell means (n, runs, tasks), or outcomes (n, runs, tasks × seeds), of one method."""
    rates, place = np.unique(rate, return_inverse=True)
    centers = np.array([_center(value, run_sd) for value in rates])[place.reshape(rate.shape)]
    chance = 1 / (1 + np.exp(-centers - random.normal(0, run_sd, (n, design.runs, 1))))
    if by_task:
        return random.binomial(design.seeds, chance) / design.seeds
    return random.binomial(1, np.repeat(chance, design.seeds, axis=-1)).astype(float)


def _center(rate: float, run_sd: float) -> float:
    """Logit of a middling run, where runs that vary by `run_sd` logits have the mean success `rate`; infinite at 0 and 1."""
    from scipy.optimize import brentq

    if not ROUNDING < rate < 1 - ROUNDING:
        return -np.inf if rate < 0.5 else np.inf
    points, weights = np.polynomial.hermite_e.hermegauss(40)
    return brentq(
        lambda center: float(1 / (1 + np.exp(-center - run_sd * points)) @ weights / weights.sum()) - rate, -40, 40
    )
