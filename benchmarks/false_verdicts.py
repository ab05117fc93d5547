"""How often each way to compare two methods calls equal ones different at 5 %, and the coverage and width of its intervals.

Prints a row for each number of runs and tasks and each run SD with the false verdicts of each method, then a table of all
methods: smallest and largest rate of false verdicts over the grid, the same of the coverage of 95 % intervals where the
first method is better by half a logit, and the mean width of the interval in points. With --libraries it does the same for
packages that are installed, on fewer studies (`interval_libraries.py`). With --outside it prints the report's rates where
studies differ more from each other than in the grid, and where one method has more runs than the other.

    python benchmarks/false_verdicts.py [STUDIES] [--libraries N] [--outside N]

In the grid task difficulty has a standard deviation of 1.5 logits; the two methods differ by task with a standard deviation
of 0.8 logits. Each task has three seeds.
"""

import argparse
from collections.abc import Callable, Iterable

import interval_libraries
import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from agentmerge_hub.analysis.statistics.crossed_runs import Components, Floats, components, estimate

RUNS, TASKS, RUN_SD = (3, 5, 8), (6, 13, 33, 63), (0.0, 0.25, 0.5)
SEEDS, DIFFICULTY, BY_TASK, GAIN = 3, (-0.5, 1.5), 0.8, 0.5
CELLS = [(runs, tasks, run_sd) for runs in RUNS for tasks in TASKS for run_sd in RUN_SD]
LIBRARY_CELLS = [(3, tasks, run_sd) for tasks in (6, 13, 33) for run_sd in (0.0, 0.5)]
OUTSIDE_RUN_SD = ((0.5, 0.5), (1.0, 1.0), (0.0, 0.5), (0.0, 1.0))
"""Run SD of each method, in logits; a pair that differs is a method whose runs differ against one whose runs hardly do."""
UNEQUAL_RUNS = ((3, 8), (3, 15), (4, 15))
OUTSIDE_STUDIES = {
    "as in the grid": {},
    "10 seeds, tasks alike": {"seeds": 10, "difficulty": 0.5, "by_task": 0.0},
}


def studies(
    random: np.random.Generator,
    n: int,
    runs: int,
    tasks: int,
    run_sd: float | tuple[float, float],
    gain: float = 0.0,
    *,
    seeds: int = SEEDS,
    difficulty: float = DIFFICULTY[1],
    by_task: float = BY_TASK,
) -> list[Floats]:
    """Success rates (n, runs, tasks) of two methods; the first is better by `gain` logits on average over tasks and runs.

    Runs that differ in logits have another mean success: where the two methods' `run_sd` differ, the first is shifted so that
    without gain both have the same mean success over all tasks and runs.
    """
    hard = random.normal(DIFFICULTY[0], difficulty, (n, 1, tasks))
    pair = run_sd if isinstance(run_sd, tuple) else (run_sd, run_sd)
    widths = [np.sqrt(difficulty**2 + by_task**2 / 2 + sd**2) for sd in pair]
    equal = brentq(lambda shift: mean_success(shift, widths[0]) - mean_success(0, widths[1]), -3, 3)
    sides = []
    for shift, sd in ((equal + gain, pair[0]), (0.0, pair[1])):
        own = random.normal(0, by_task / np.sqrt(2), (n, 1, tasks)) + random.normal(0, sd, (n, runs, 1))
        sides.append(random.binomial(seeds, 1 / (1 + np.exp(-hard - own - shift))) / seeds)
    return sides


def mean_success(shift: float, spread: float) -> float:
    """Mean success over tasks and runs whose logits have this standard deviation, by Gauss-Hermite quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    return float(1 / (1 + np.exp(-(DIFFICULTY[0] + shift + spread * points))) @ weights / weights.sum())


def true_difference(run_sd: float, gain: float) -> float:
    """Difference of the two success rates over all tasks and runs."""
    spread = float(np.sqrt(DIFFICULTY[1] ** 2 + BY_TASK**2 / 2 + run_sd**2))
    return mean_success(gain, spread) - mean_success(0, spread)


def crossed(a: Floats, b: Floats, paired: bool = False) -> Floats:
    """Half widths of the report's intervals."""
    return np.nan_to_num(estimate(components(a, b, paired=paired)).half_width(), nan=np.inf)


def crossed_paired(a: Floats, b: Floats) -> Floats:
    """The same where runs with the same seed are paired."""
    return crossed(a, b, paired=True)


def satterthwaite(a: Floats, b: Floats) -> Floats:
    """Runs paired, a negative run component set to zero, Satterthwaite's degrees of freedom (at least the smaller of the two)."""
    parts = components(a, b, paired=True)
    (units, unit_df), (runs, run_df), (cells, _) = parts.units, parts.runs[0], parts.cells[0]
    variance = units + np.maximum(runs - cells, 0)
    spread = units**2 / unit_df + runs**2 / run_df
    df = np.where(spread > 0, variance**2 / np.where(spread > 0, spread, 1), 1)
    return _half(variance, np.maximum(df, np.minimum(unit_df, run_df)))


def smaller_df(a: Floats, b: Floats) -> Floats:
    """The same variance with the smaller of the two degrees of freedom."""
    parts = components(a, b, paired=True)
    (units, unit_df), (runs, run_df), (cells, _) = parts.units, parts.runs[0], parts.cells[0]
    return _half(units + np.maximum(runs - cells, 0), np.minimum(unit_df, run_df))


def normal_quantiles(a: Floats, b: Floats) -> Floats:
    """The same variance with normal quantiles: what a mixed model by REML reports for balanced data."""
    parts = components(a, b, paired=True)
    variance = parts.units[0] + np.maximum(parts.runs[0][0] - parts.cells[0][0], 0)
    return np.where(variance > 0, ndtri(0.975) * np.sqrt(variance), np.inf)


def runs_fixed(a: Floats, b: Floats) -> Floats:
    """A paired t-test over tasks: what evalconfidence and packages for clustered errors compute."""
    parts = components(a, b)
    return np.nan_to_num(estimate(Components(parts.estimate, parts.units)).half_width(), nan=np.inf)


def two_way_bootstrap(a: Floats, b: Floats, draws: int = 200) -> Floats:
    """Half of the width of the percentile interval over runs and tasks drawn with replacement."""
    random = np.random.default_rng(0)
    (_, runs, tasks), means = a.shape, []
    for _ in range(draws):
        weight = random.multinomial(tasks, np.full(tasks, 1 / tasks)) / tasks
        of_a, of_b = (random.multinomial(runs, np.full(runs, 1 / runs)) / runs for _ in range(2))
        means.append(of_a @ (a @ weight).T - of_b @ (b @ weight).T)
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    return (high - low) / 2


def _half(variance: Floats, df: Floats) -> Floats:
    return np.where(variance > 0, stdtrit(df, 0.975) * np.sqrt(variance), np.inf)


METHODS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "report, apart": crossed,
    "report, paired": crossed_paired,
    "Satterthwaite": satterthwaite,
    "smaller df": smaller_df,
    "normal quantiles": normal_quantiles,
    "runs fixed": runs_fixed,
    "two-way bootstrap": two_way_bootstrap,
}


class Tally:
    """Shares over the cells of the grid, in percent, and widths in points."""

    def __init__(self) -> None:
        self.false: list[float] = []
        self.covered: list[float] = []
        self.widths: list[float] = []

    def add(self, null: tuple[Floats, Floats], better: tuple[Floats, Floats], truth: float) -> None:
        """Differences and half widths of studies of equal methods, and of studies whose true difference is `truth`."""
        (difference, half), (other, other_half) = null, better
        self.false.append(100 * float(np.mean(np.abs(difference) > half)))
        self.covered.append(100 * float(np.mean(np.abs(other - truth) <= other_half)))
        self.widths.append(200 * float(np.mean(half[np.isfinite(half)])))

    def row(self, name: str) -> str:
        ranges = "  ".join(f"{min(values):6.1f} – {max(values):5.1f}" for values in (self.false, self.covered))
        return f"{name:>22}  {ranges}  {np.mean(self.widths):6.1f}"


HEAD = f"{'%':>22}  {'false verdicts':>14}  {'coverage':>14}  {'width':>6}"


def measure(
    cells: Iterable[tuple[int, int, float]], n: int, methods: dict[str, Callable[[Floats, Floats], Floats]]
) -> dict[str, Tally]:
    """Every method on the same n studies of each cell."""
    random = np.random.default_rng(0)
    tallies = {name: Tally() for name in methods}
    print(f"{'runs':>4} {'tasks':>5} {'SD':>5}  " + "  ".join(f"{name:>17}" for name in methods))
    for runs, tasks, run_sd in cells:
        equal, better = (studies(random, n, runs, tasks, run_sd, gain) for gain in (0.0, GAIN))
        truth = true_difference(run_sd, GAIN)
        for name, half_width in methods.items():
            null, gain = (((a - b).mean((1, 2)), half_width(a, b)) for a, b in (equal, better))
            tallies[name].add(null, gain, truth)
        last = "  ".join(f"{tallies[name].false[-1]:17.1f}" for name in methods)
        print(f"{runs:4} {tasks:5} {run_sd:5.2f}  {last}", flush=True)
    return tallies


def outside(n: int) -> None:
    """False verdicts of the report where studies are unlike those of the grid."""
    random = np.random.default_rng(1)
    print(f"{'':>22} {'runs':>4} {'tasks':>5} {'run SD':>10}  {'apart':>6}  {'paired':>6}")
    for name, kind in OUTSIDE_STUDIES.items():
        for runs in (3, 5):
            for tasks in TASKS:
                for run_sd in OUTSIDE_RUN_SD:
                    a, b = studies(random, n, runs, tasks, run_sd, **kind)
                    apart, paired = (
                        100 * np.mean(estimate(components(a, b, paired=x)).p_value() < 0.05) for x in (0, 1)
                    )
                    sds = " and ".join(f"{sd:g}" for sd in run_sd)
                    print(f"{name:>22} {runs:4} {tasks:5} {sds:>10}  {apart:6.1f}  {paired:6.1f}", flush=True)


def unequal_runs(n: int) -> None:
    """False verdicts of the report where one method has few runs and the other many."""
    random = np.random.default_rng(2)
    print(f"{'runs':>10} {'tasks':>5} {'run SD':>6}  {'apart':>6}")
    for few, many in UNEQUAL_RUNS:
        for tasks in TASKS:
            for run_sd in (0.5, 1.0):
                a, b = studies(random, n, many, tasks, run_sd)
                rate = 100 * np.mean(estimate(components(a[:, :few], b)).p_value() < 0.05)
                print(f"{few:>5} and {many:>2} {tasks:5} {run_sd:6g}  {rate:6.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "studies", nargs="?", type=int, default=2_000, help="studies of each cell of the grid; 0 for none"
    )
    parser.add_argument("--libraries", type=int, default=0, metavar="N", help="studies for each installed package")
    parser.add_argument("--outside", type=int, default=0, metavar="N", help="studies of each cell outside of the grid")
    args = parser.parse_args()
    if args.studies:
        found = measure(CELLS, args.studies, METHODS)
        print(HEAD, *(tally.row(name) for name, tally in found.items()), sep="\n")
    if args.outside:
        outside(args.outside)
        unequal_runs(args.outside)
    if args.libraries:
        found = measure(LIBRARY_CELLS, args.libraries, interval_libraries.installed() | {"report, apart": crossed})
        print(HEAD, *(tally.row(name) for name, tally in found.items()), sep="\n")
        for name, count in interval_libraries.PROBLEMS.items():
            print(
                f"{name}: {count['warned']} of {count['studies']} fits with a warning, {count['failed']} without an interval"
            )


if __name__ == "__main__":
    main()
