"""Intervals and tests on simulated studies with known truth: 95 % intervals cover 93–97 % where they claim to.

Tasks are hard or easy (logits with a standard deviation of 1.5 to 2, so that many are always or never solved), two methods
differ by 0.5 logits on average and by task, and half of the luck in an episode is shared by the pair.
"""

import numpy as np
import pytest

from agentmerge_hub.analysis import statistics

STUDIES = 1500


def rate(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def studies(tasks: int, seeds: int, base: float, spread: float, effect: float, shift: float):
    """Yields (paired differences (tasks, seeds), true difference on these tasks) of one study after another."""
    random = np.random.default_rng(tasks * 100 + seeds)
    for _ in range(STUDIES):
        hard = random.normal(base, spread, tasks)
        a, b = rate(hard + random.normal(effect, shift, tasks)), rate(hard)
        luck = random.uniform(size=(tasks, seeds))
        mixed = np.where(random.uniform(size=luck.shape) < 0.5, luck, random.uniform(size=luck.shape))
        yield (luck < a[:, None]).astype(float) - (mixed < b[:, None]), float((a - b).mean())


def population(base: float, spread: float, effect: float, shift: float) -> float:
    random = np.random.default_rng(0)
    hard = random.normal(base, spread, 1_000_000)
    return float((rate(hard + random.normal(effect, shift, hard.size)) - rate(hard)).mean())


CASES = {
    "half solved": (-0.5, 1.5, 0.5, 0.8),
    "a quarter solved": (-2.2, 2.0, 0.5, 0.8),
    "no effect": (-2.0, 1.5, 0.0, 0.0),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("tasks", "seeds"), [(15, 10), (33, 10), (62, 5)])
def test_intervals_over_new_tasks_cover(case: str, tasks: int, seeds: int) -> None:
    truth = population(*CASES[case])
    weights = statistics.resamples(tasks, 2000, seed=1)
    hits = 0
    for differences, _ in studies(tasks, seeds, *CASES[case]):
        low, high = statistics.expanded_percentiles(weights @ differences.mean(axis=1) / tasks, tasks)
        hits += low <= truth <= high
    assert 0.93 <= hits / STUDIES <= 0.97


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("tasks", "seeds"), [(6, 10), (15, 5)])
def test_intervals_over_new_seeds_of_the_same_tasks_cover(case: str, tasks: int, seeds: int) -> None:
    labels, numbers = np.repeat(np.arange(tasks), seeds), np.tile(np.arange(seeds), tasks)
    hits = 0
    for differences, truth in studies(tasks, seeds, *CASES[case]):
        low, high = statistics.fixed_task_interval(differences.ravel(), labels, numbers)
        hits += low <= truth <= high
    assert 0.93 <= hits / STUDIES <= 0.97


def test_the_errors_are_the_spread_of_the_means_over_studies() -> None:
    """Each standard error, squared and averaged, is the variance it claims: over the studies, or around these tasks."""
    labels, numbers = np.repeat(np.arange(18), 10), np.tile(np.arange(10), 18)
    means, around, new, fixed = [], [], [], []
    for differences, truth in studies(18, 10, *CASES["half solved"]):
        means.append(differences.mean())
        around.append(differences.mean() - truth)
        new.append(statistics.new_task_error(differences.ravel(), labels) ** 2)
        fixed.append(statistics.fixed_task_error(differences.ravel(), labels, numbers) ** 2)
    assert np.mean(new) == pytest.approx(np.var(means), rel=0.1)
    assert np.mean(fixed) == pytest.approx(np.var(around), rel=0.1)


def test_sign_flips_reject_a_true_null_no_more_often_than_they_say() -> None:
    by_task, by_pair = [], []
    for differences, _ in studies(12, 5, *CASES["no effect"]):
        by_task.append(statistics.sign_flip(differences.sum(axis=1)))
        by_pair.append(statistics.sign_flip(differences.ravel()))
    assert np.mean(np.array(by_task) < 0.05) < 0.065
    assert np.mean(np.array(by_pair) < 0.05) < 0.065
