"""Statistics against closed forms, scipy and statsmodels."""

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


def test_a_task_with_one_seed_takes_the_mean_variance_of_the_others() -> None:
    """By hand: squares of .5 each, times 2 and 3/2, are 1.75 for five seeds; the sixth adds a fifth of that."""
    found = statistics.fixed_task_error([1, 0, 0.5, -0.5, 0, 1], [0, 0, 1, 1, 1, 2], [0, 1, 0, 1, 2, 0])
    assert found == pytest.approx(np.sqrt(0.5 * 2 + 0.5 * 1.5 + 1.75 / 5) / 6)


def test_what_the_data_cannot_give_is_nan() -> None:
    assert np.isnan(statistics.new_task_error(REWARDS[:5], TASKS[:5]))
    assert np.isnan(statistics.fixed_task_error([1, 0, 1], [0, 1, 2], [0, 0, 0]))
    assert np.isnan(statistics.binomial_error([]))


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test(wins: int, losses: int) -> None:
    ours = statistics.mcnemar(wins, losses)
    if wins + losses:
        assert ours == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)
    else:
        assert ours == 1.0


def test_holm_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for n in range(1, 9):
        p = RANDOM.uniform(size=n) ** 3
        p[n // 2] = p[0]
        assert statistics.holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_holm_leaves_out_what_was_not_tested() -> None:
    assert statistics.holm([0.01, float("nan"), 0.04])[::2] == pytest.approx([0.02, 0.04])
