"""Statistics against closed forms, scipy, statsmodels, and brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agentmerge_hub.analysis import statistics

RANDOM = np.random.default_rng(7)
TASKS = np.repeat(np.arange(8), 5)
SEEDS = np.tile(np.arange(5), 8)
REWARDS = (RANDOM.uniform(size=40) < RANDOM.beta(0.5, 1, 8)[TASKS]).astype(float)


def test_binomial_error_is_agentlabs() -> None:
    inspect_results = pytest.importorskip("agentlab.analyze.inspect_results")
    pandas = pytest.importorskip("pandas")
    for values in (REWARDS, RANDOM.uniform(size=40)):
        _, theirs = inspect_results.get_std_err(pandas.DataFrame({"reward": values}), "reward")
        assert statistics.binomial_error(values) == pytest.approx(theirs)


def test_new_task_error_is_the_cluster_robust_one() -> None:
    ols = pytest.importorskip("statsmodels.api")
    keep = RANDOM.uniform(size=40) < 0.8
    fitted = ols.OLS(REWARDS[keep], np.ones(keep.sum())).fit(cov_type="cluster", cov_kwds={"groups": TASKS[keep]})
    assert statistics.new_task_error(REWARDS[keep], TASKS[keep]) == pytest.approx(fitted.bse[0])


def test_new_task_error_of_a_balanced_study_is_that_of_task_means() -> None:
    means = REWARDS.reshape(8, 5).mean(axis=1)
    assert statistics.new_task_error(REWARDS, TASKS) == pytest.approx(stats.sem(means))


def test_fixed_task_error_of_a_balanced_study_averages_variances_within_tasks() -> None:
    within = REWARDS.reshape(8, 5).var(axis=1, ddof=1)
    assert statistics.fixed_task_error(REWARDS, TASKS, SEEDS) == pytest.approx(np.sqrt(within.mean() / 40))


def test_two_runs_on_the_same_seeds_count_as_one_unit() -> None:
    once = statistics.fixed_task_error(REWARDS, TASKS, SEEDS)
    twice = statistics.fixed_task_error(np.tile(REWARDS, 2), np.tile(TASKS, 2), np.tile(SEEDS, 2))
    assert twice == pytest.approx(once)
    assert statistics.binomial_error(np.tile(REWARDS, 2)) < 0.8 * statistics.binomial_error(REWARDS)


def test_fixed_task_interval_with_one_task_is_students() -> None:
    values = RANDOM.normal(size=12)
    theirs = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    ours = statistics.fixed_task_interval(values, np.zeros(12), np.arange(12))
    assert ours == pytest.approx(theirs)


def test_what_the_data_cannot_give_is_nan() -> None:
    assert np.isnan(statistics.new_task_error(REWARDS[:5], TASKS[:5]))
    assert np.isnan(statistics.fixed_task_error([1, 0, 1], [0, 1, 2], [0, 0, 0]))
    assert np.isnan(statistics.new_task_interval(np.zeros(40), TASKS)).all()
    assert np.isnan(statistics.binomial_error([]))


def test_bootstrap_of_many_tasks_agrees_with_scipys() -> None:
    means = RANDOM.normal(size=200)
    theirs = stats.bootstrap((means,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    ours = statistics.new_task_interval(means, np.arange(200))
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.01)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=9))
def test_sign_flip_is_exact(differences: list[float]) -> None:
    sums = [sum(sign * d for sign, d in zip(signs, differences)) for signs in product((-1, 1), repeat=len(differences))]
    by_hand = np.mean([abs(total) >= abs(sum(differences)) - 1e-9 for total in sums])
    assert statistics.sign_flip(differences) == pytest.approx(by_hand)


def test_sign_flip_agrees_with_scipys_permutations() -> None:
    values = RANDOM.normal(0.4, 1, size=12)
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert statistics.sign_flip(values) == pytest.approx(theirs, abs=0.005)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test_and_the_sign_flip_of_pairs(wins: int, losses: int) -> None:
    ours = statistics.mcnemar(wins, losses)
    if wins + losses:
        assert ours == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)
    assert ours == pytest.approx(statistics.sign_flip([1.0] * wins + [-1.0] * losses))


def test_holm_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for n in range(1, 9):
        p = RANDOM.uniform(size=n) ** 3
        p[n // 2] = p[0]
        assert statistics.holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_holm_leaves_out_what_was_not_tested() -> None:
    assert statistics.holm([0.01, float("nan"), 0.04])[::2] == pytest.approx([0.02, 0.04])


def test_improvement_is_mann_whitneys() -> None:
    a, b = [RANDOM.normal(size=6) for _ in range(5)], [RANDOM.normal(size=4) for _ in range(5)]
    theirs = np.mean([stats.mannwhitneyu(x, y).statistic / 24 for x, y in zip(a, b)])
    value, low, high = statistics.improvement(a, b)
    assert value == pytest.approx(theirs)
    assert low < value < high
    assert statistics.improvement([[1, 0]], [[1, 0]])[0] == 0.5
