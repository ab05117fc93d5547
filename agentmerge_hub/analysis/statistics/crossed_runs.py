"""Difference of two methods, or the mean of one, with training runs crossed with tasks: arrays in, an estimate out.

A method is a recipe that can be run again, so training runs are a random sample. They are crossed with units: tasks where
the claim is about new tasks, (task, seed) within tasks where the claim is about these tasks. The variance of a difference is

    units + runs − cells

`units` is the variance of the mean over units, `runs` that over training runs, and `cells` the part that both contain: the
moment estimator of the two-way random model (Searle, Casella and McCulloch, Variance Components, 1992, ch. 4). It is
unbiased; only a value below half of `units` is raised to it.

With few runs the estimate follows no t distribution: a sum of χ² variables with a negative weight is not close to one χ².
So the reference distribution is computed: normal estimate, independent scaled χ² parts (a parametric bootstrap on fixed
points instead of random draws). Its true parts are the estimates within their limits: units and runs are at least cells, and
runs are taken at their upper 80 % limit, since three runs that agree by chance would otherwise pass for runs that agree.
Where only one of two unpaired sides has runs that differ, the few runs of that side alone carry the variance: p and interval
are then at least those of Student's t with that side's degrees of freedom.

The choice rests on `benchmarks/false_verdicts.py`, which compares it with Satterthwaite's degrees of freedom, bootstraps,
mixed models and runs held fixed; the rates are in benchmarks/README.md.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Part = tuple[Floats, Floats]
"""A variance of the mean and its degrees of freedom, one of each for each study."""

RUN_LIMIT = 0.8
"""Confidence of the upper limit at which the reference distribution takes the run part."""
LEAST_SHARE = 0.5
"""The variance is at least this share of `units`: `cells` may exceed `runs` by chance."""
ALONE = 9.0
"""One side's runs differ alone if their variance is this many times the other side's, and LEAST_SHARE of `units`."""
POINTS, MAX_DF = 512, 400
"""Points of the reference distribution; degrees of freedom from which χ² is treated as if it had no more."""
NONE = 1e-24
"""A variance up to this is that of rounding errors: the data have no spread."""


@dataclass(frozen=True)
class Components:
    """Parts of the variance of an estimate. Arrays hold one value for each study of a batch."""

    estimate: Floats
    units: Part
    runs: tuple[Part, ...] = ()
    """One part for each side whose runs vary independently; a single part where runs are paired."""
    cells: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """An estimate with its variance; NaN variance where the data have no spread."""

    value: Floats
    variance: Floats
    df: Floats
    """Degrees of freedom of Student's t, where `ratios` is None."""
    ratios: Floats | None = None
    """Estimated ÷ true variance in possible studies like this one, (…, POINTS)."""
    least_df: ArrayLike = np.inf
    """With `ratios`: p and interval are at least those of Student's t with these degrees of freedom."""

    def half_width(self, level: float = 0.95) -> Floats:
        """Half of the confidence interval."""
        from scipy.special import ndtri, stdtrit

        if self.ratios is None:
            return stdtrit(self.df, (1 + level) / 2) * np.sqrt(self.variance)
        t = np.full(np.shape(self.variance), float(ndtri((1 + level) / 2)))
        roots = np.sqrt(self.ratios)
        for _ in range(100):  # Newton: the probability is convex in t, so that steps go up to the root
            slope = 2 * (roots * np.exp(-((t[..., None] * roots) ** 2) / 2)).mean(-1) / np.sqrt(2 * np.pi)
            step = (_normal_mixture(t, self.ratios) - (1 - level)) / slope
            t = np.maximum(t + step, 0.0)
            if np.max(np.abs(step) / (1 + t)) < 1e-7:
                break
        return np.maximum(t, stdtrit(self.least_df, (1 + level) / 2)) * np.sqrt(self.variance)

    def p_value(self) -> Floats:
        """Two-sided p-value of a true value of zero; 1 where estimate and variance are both zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            p = self._beyond(np.abs(self.value) / np.sqrt(self.variance))
        return np.where(np.isnan(p), np.where(np.abs(self.value) < 1e-12, 1.0, np.nan), p)

    def _beyond(self, t: Floats) -> Floats:
        """Probability that |estimate| ÷ √(its estimated variance) exceeds t where the true value is zero."""
        from scipy.special import stdtr

        if self.ratios is None:
            return 2 * stdtr(self.df, -t)
        return np.maximum(_normal_mixture(t, self.ratios), 2 * stdtr(self.least_df, -t))


def _normal_mixture(t: Floats, ratios: Floats) -> Floats:
    """Probability that a normal estimate exceeds t times its estimated error, over the ratios of estimated to true variance."""
    from scipy.special import ndtr

    return 2 * ndtr(-np.asarray(t)[..., None] * np.sqrt(ratios)).mean(-1)


def cell_values(sums: ArrayLike, counts: ArrayLike) -> Floats:
    """Values by (run, unit) whose plain mean is Σ sums / Σ counts: the linearised ratio of a study with unequal cells.

    Args:
        sums, counts: reward and number of episodes of each cell, (…, runs, units). A cell may be empty.
    """
    sums, counts = np.asarray(sums, float), np.asarray(counts, float)
    total = counts.sum((-2, -1), keepdims=True)
    mean = sums.sum((-2, -1), keepdims=True) / total
    cells = counts.shape[-2] * counts.shape[-1]
    return mean + (sums - counts * mean) * cells / total


def components(
    a: Floats,
    b: Floats | None = None,
    *,
    paired: bool = False,
    strata: ArrayLike | None = None,
    shares: ArrayLike | None = None,
) -> Components:
    """Variance components of mean(a) − mean(b), or of mean(a) alone.

    Args:
        a, b: cell values, (…, runs, units), the same units in the same order. A side with one run is taken as given:
            it adds no run component.
        paired: whether run i of a and run i of b share what makes a run differ (their seed).
        strata: the task of each unit, where the tasks stay and only their seeds are new; None where units are new.
        shares: the share of the mean that each unit has, where units are new; None where all have the same.

    Where every task has a single seed, all are one stratum: the collapsed strata of Cochran (Sampling Techniques, 1977,
    §5A.12), whose variance includes that between tasks and so is not below the true one on average.
    """
    groups = np.zeros(a.shape[-1], int) if strata is None else stratum_numbers(strata)
    difference = a.mean(-2) - (0.0 if b is None else b.mean(-2))
    units = _unit_part(difference, groups) if shares is None else _unequal_unit_part(difference, np.asarray(shares))
    if paired and b is not None:
        sides: list[Floats] = [a - b]
    else:
        sides = [side for side in (a, b) if side is not None]
    varied = [side for side in sides if side.shape[-2] > 1]
    return Components(
        difference.mean(-1),
        units,
        tuple(_run_part(side) for side in varied),
        tuple(_cell_part(side, groups) for side in varied),
    )


def estimate(parts: Components) -> Estimate:
    """The estimate with its variance and reference distribution, by the formula at the top of this module."""
    units, unit_df = parts.units
    if not parts.runs:
        return Estimate(parts.estimate, _positive(units), unit_df)
    runs = sum((value for value, _ in parts.runs), np.zeros_like(units))
    cells = sum((value for value, _ in parts.cells), np.zeros_like(units))
    variance = np.maximum(units + runs - cells, LEAST_SHARE * units)
    variance = np.where(variance > NONE, variance, cells)  # units and runs are at least cells
    variance = np.where(unit_df < 0.5, np.nan, _positive(variance))  # a single unit shows nothing of how units vary
    return Estimate(parts.estimate, variance, unit_df, _variance_ratios(parts, cells), _df_alone(parts))


def _positive(variance: Floats) -> Floats:
    return np.where(variance > NONE, variance, np.nan)


def satterthwaite_df(runs: tuple[Part, ...]) -> Floats:
    """Satterthwaite's degrees of freedom of the sum of the run parts."""
    total = sum(value for value, _ in runs)
    spread = sum(value**2 / df for value, df in runs)
    least = sum(df for _, df in runs)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, total**2 / spread, least)


def differing_side(parts: Components) -> NDArray[np.intp]:
    """Which of two unpaired sides has runs that differ while the other's hardly do: 0 or 1, −1 for neither."""
    if len(parts.runs) < 2:
        return np.full(np.shape(parts.estimate), -1)
    excess = np.stack([np.maximum(run[0] - cell[0], 0.0) for run, cell in zip(parts.runs, parts.cells)])
    largest = excess.max(0)
    return np.where((largest > ALONE * excess.min(0)) & (largest > LEAST_SHARE * parts.units[0]), excess.argmax(0), -1)


def _df_alone(parts: Components) -> Floats:
    """Degrees of freedom of the only side whose runs differ; infinite where both sides' do, or neither's."""
    side = differing_side(parts)
    df = [np.broadcast_to(run[1], side.shape) for run in parts.runs]
    return np.select([side == number for number in range(len(df))], df, np.inf)


def _variance_ratios(parts: Components, cells: Floats) -> Floats:
    """Estimated ÷ true variance over the sampling distribution of the parts: independent scaled χ² on POINTS fixed points.

    The true parts are taken from the data within their limits (units ≥ cells, runs ≥ cells), the runs at their upper limit.
    """
    from scipy.special import chdtri

    points = iter(_points(1 + 2 * len(parts.runs)))
    true_units = np.maximum(parts.units[0], np.maximum(cells, 1e-24))
    sides = [(np.maximum(run[0], cell[0]), run[1]) for run, cell in zip(parts.runs, parts.cells)]
    df = satterthwaite_df(tuple(sides))
    upper = df / chdtri(df, RUN_LIMIT)
    drawn_units = true_units[..., None] * _scaled_chi2(parts.units[1], next(points))
    drawn, true = drawn_units, true_units
    for (run, run_df), (cell, cell_df) in zip(parts.runs, parts.cells):
        limit = np.maximum(run * upper, cell)
        drawn = drawn + limit[..., None] * _scaled_chi2(run_df, next(points))
        drawn = drawn - cell[..., None] * _scaled_chi2(cell_df, next(points))
        true = true + limit - cell
    return np.maximum(drawn, LEAST_SHARE * drawn_units) / true[..., None]


def _scaled_chi2(df: Floats, points: Floats) -> Floats:
    """χ² ÷ df at the given probabilities, (…, POINTS); degrees of freedom are rounded down."""
    from scipy.special import chdtri

    whole = np.clip(np.nan_to_num(np.floor(df), nan=1.0), 1, MAX_DF)
    values, place = np.unique(whole, return_inverse=True)
    return (chdtri(values[:, None], 1 - points) / values[:, None])[place.reshape(np.shape(df))]


@cache
def _points(dimensions: int) -> Floats:
    """Evenly spread points of the unit cube, (dimensions, POINTS): the additive sequence of the generalised golden ratio."""
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    return (0.5 + steps[:, None] * np.arange(1, POINTS + 1)) % 1


def p_values(found: Estimate, units: int, strata: ArrayLike | None = None) -> Floats:
    """Two-sided p-values of estimates from this many units; those of data without spread by Laplace's rule, 1 for a single unit."""
    p = found.p_value()
    unknown = np.isnan(p)
    if units < 2 or not unknown.any():
        return np.where(unknown, 1.0, p)
    variance, df = without_spread(units, strata)
    bounded = replace(found, variance=np.asarray(variance), df=np.asarray(df), ratios=None)
    return np.where(unknown, bounded.p_value(), p)


def without_spread(units: int, strata: ArrayLike | None = None) -> tuple[float, float]:
    """Variance and degrees of freedom of a difference that is the same in all units of each stratum.

    Each side of each stratum is given the variance of a share with one more unit of either outcome (Laplace's rule).

    Args:
        units: their number.
        strata: as for `components`.
    """
    sizes = np.array([units]) if strata is None else np.bincount(stratum_numbers(strata))
    share = (sizes + 1) / (sizes + 2)
    return float((2 * share * (1 - share) * sizes).sum()) / units**2, float(units - len(sizes))


def stratum_numbers(strata: ArrayLike) -> NDArray[np.intp]:
    """The number of each unit's stratum; the same for all where no stratum has two units."""
    names, groups = np.unique(np.asarray(strata), return_inverse=True)
    return groups if len(names) < len(groups) else np.zeros_like(groups)


def _unit_part(values: Floats, groups: NDArray[np.intp]) -> Part:
    """Variance of the mean over units, within strata; strata with one unit take the mean variance of the others."""
    n = values.shape[-1]
    total, spread = np.zeros(values.shape[:-1]), np.zeros(values.shape[:-1])
    known, pooled_df = 0, 0
    for members in _members(groups):
        if (size := len(members)) > 1:
            inner = values[..., members]
            weighted = size / (size - 1) * ((inner - inner.mean(-1, keepdims=True)) ** 2).sum(-1)
            total, spread = total + weighted, spread + weighted**2 / (size - 1)
            known, pooled_df = known + size, pooled_df + size - 1
    if not known:
        return total, spread
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(spread > 0, total**2 / spread, float(pooled_df))
    return total / known / n, df


def _unequal_unit_part(values: Floats, shares: Floats) -> Part:
    """Variance of the mean over units of unequal shares: residuals over 1 − share, as a jackknife that leaves one unit out.

    With equal shares it is `_unit_part`. The degrees of freedom are those of Σ share² · residual² where all units vary alike
    (Bell and McCaffrey, Survey Methodology 28, 2002, in the simplest case).
    """
    n = values.shape[-1]
    if n < 2:
        return np.zeros(values.shape[:-1]), np.zeros(values.shape[:-1])
    residuals = (values - values.mean(-1, keepdims=True)) / (1 - shares)
    df = (n - 1) / n * (shares**2).sum() ** 2 / (shares**4).sum()
    return (n - 1) / n**3 * (residuals**2).sum(-1), np.full(values.shape[:-1], max(df, 1.0))


def _run_part(values: Floats) -> Part:
    runs = values.shape[-2]
    variance = values.mean(-1).var(-1, ddof=1) / runs
    return variance, np.full_like(variance, runs - 1.0)


def _cell_part(values: Floats, groups: NDArray[np.intp]) -> Part:
    """Variance of the mean that the interaction of runs and units explains."""
    runs, n = values.shape[-2:]
    squares, df = np.zeros(values.shape[:-2]), 0
    for members in _members(groups):
        if len(members) > 1:
            inner = values[..., members]
            centred = inner - inner.mean(-1, keepdims=True) - inner.mean(-2, keepdims=True)
            squares = squares + ((centred + inner.mean((-2, -1), keepdims=True)) ** 2).sum((-2, -1))
            df += (runs - 1) * (len(members) - 1)
    return (squares / max(df, 1) / (runs * n), np.full_like(squares, float(df)))


def _members(groups: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.cumsum(np.bincount(groups))[:-1])
