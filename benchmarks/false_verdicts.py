"""How often tests of two equal methods reject at 5 %, and how often their 95 % intervals hold the true difference.

Prints a row for each number of runs and tasks and each run SD; the last lines give the largest and smallest rate of each test.

    python benchmarks/false_verdicts.py [STUDIES]

Task difficulty has a standard deviation of 1.5 logits; the two methods differ by task with a standard deviation of 0.8
logits whose mean effect on success is zero. Each task has three seeds.
"""

import sys
from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from agentmerge_hub.analysis.statistics.crossed_runs import Components, Floats, components, estimate

RUNS, TASKS, RUN_SD = (3, 5, 8), (6, 13, 33, 63), (0.0, 0.25, 0.5)
SEEDS, DIFFICULTY, BY_TASK = 3, (-0.5, 1.5), 0.8


def studies(
    random: np.random.Generator, n: int, runs: int, tasks: int, run_sd: float, by_task: float = BY_TASK
) -> list[Floats]:
    """Success rates (n, runs, tasks) of two methods that are equal on average over tasks and runs."""
    difficulty = random.normal(*DIFFICULTY, (n, 1, tasks))
    return [
        random.binomial(
            SEEDS,
            1
            / (
                1
                + np.exp(
                    -difficulty
                    - random.normal(0, by_task / np.sqrt(2), (n, 1, tasks))
                    - random.normal(0, run_sd, (n, runs, 1))
                )
            ),
        )
        / SEEDS
        for _ in range(2)
    ]


def crossed(a: Floats, b: Floats, paired: bool = False) -> Floats:
    """Half widths of our intervals."""
    return np.nan_to_num(estimate(components(a, b, paired=paired)).half_width(), nan=np.inf)


def crossed_paired(a: Floats, b: Floats) -> Floats:
    return crossed(a, b, paired=True)


def smaller_df(a: Floats, b: Floats) -> Floats:
    """The same variance with the smaller of the two degrees of freedom, for runs paired by seed."""
    from scipy.stats import t

    parts = components(a, b, paired=True)
    df = np.minimum(parts.units[1], parts.runs[0][1])
    return t.ppf(0.975, df) * np.sqrt(np.nan_to_num(estimate(parts).variance, nan=np.inf))


def mixed_model(a: Floats, b: Floats) -> Floats:
    """Balanced REML estimates of the run and task components with normal quantiles, as mixed-model packages report."""
    variance = estimate(components(a, b)).variance
    return norm.ppf(0.975) * np.sqrt(np.nan_to_num(variance, nan=np.inf))


def runs_fixed(a: Floats, b: Floats) -> Floats:
    """Tasks as the only random factor: a paired t-test over tasks, as one-way cluster packages compute."""
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


TESTS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "ours": crossed,
    "ours, runs paired": crossed_paired,
    "smaller df": smaller_df,
    "normal quantiles": mixed_model,
    "runs fixed": runs_fixed,
    "bootstrap": two_way_bootstrap,
}


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000
    random = np.random.default_rng(0)
    print(f"{'runs':>4} {'tasks':>5} {'SD':>5}  " + "  ".join(f"{name:>17}" for name in TESTS))
    rates: dict[str, list[float]] = {name: [] for name in TESTS}
    for runs in RUNS:
        for tasks in TASKS:
            for run_sd in RUN_SD:
                a, b = studies(random, n, runs, tasks, run_sd)
                difference = (a - b).mean((1, 2))
                for name, half_width in TESTS.items():
                    rates[name].append(float(np.mean(np.abs(difference) > half_width(a, b))))
                last = "  ".join(f"{rates[name][-1]:17.3f}" for name in TESTS)
                print(f"{runs:4} {tasks:5} {run_sd:5.2f}  {last}", flush=True)
    for word, pick in (("largest", max), ("smallest", min)):
        print(f"{word:>16}  " + "  ".join(f"{pick(rates[name]):17.3f}" for name in TESTS))


if __name__ == "__main__":
    main()
