"""The crossed test on simulated studies with known truth, and its parts against closed forms."""

import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from agentmerge_hub.analysis.statistics import power
from agentmerge_hub.analysis.statistics.crossed_runs import (
    cell_values,
    components,
    differing_side,
    estimate,
    without_spread,
)
from agentmerge_hub.package_data import data_folder


def false_verdicts():
    path = data_folder("recipes").parent / "benchmarks" / "false_verdicts.py"
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location("false_verdicts", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("paired", [False, True])
def test_equal_methods_are_separated_in_three_to_six_percent_of_studies(paired: bool) -> None:
    """Rates of a true null at 5 %; far below it the intervals are too wide and the test finds too little."""
    table, random = false_verdicts(), np.random.default_rng(1)
    rates = {}
    for runs in (3, 5):
        for tasks in (6, 33):
            for run_sd in (0.0, 0.5):
                a, b = table.studies(random, 800, runs, tasks, run_sd)
                rates[runs, tasks, run_sd] = np.mean(estimate(components(a, b, paired=paired)).p_value() < 0.05)
    # two and a half standard errors of 800 studies
    assert max(rates.values()) < 0.06 + 2.5 * 0.0084, rates
    assert min(rates.values()) > 0.03 - 2.5 * 0.006, rates
    assert 0.035 < np.mean(list(rates.values())) < 0.055


def test_few_runs_that_differ_on_one_side_only_have_the_degrees_of_freedom_of_that_side() -> None:
    """Equal methods; the runs of one differ by a logit, those of the other do not."""
    a, b = false_verdicts().studies(np.random.default_rng(1), 1200, 3, 33, (0.0, 1.0), difficulty=0.5)
    parts = components(a, b)
    found = estimate(parts)
    alone = differing_side(parts) == 1
    assert alone.mean() > 0.6 and (differing_side(parts) == 0).mean() < 0.01
    t = np.abs(found.value / np.sqrt(found.variance))[alone]
    assert np.all(found.p_value()[alone] >= 2 * stats.t.sf(t, 2) - 1e-12)
    at_most = 0.06 + 2.5 * 0.007
    assert np.mean(found.p_value() < 0.05) < at_most < np.mean(replace(found, least_df=np.inf).p_value() < 0.05)
    half = found.half_width(0.9)
    assert np.array_equal(np.abs(found.value) > half, found.p_value() < 0.1)


@pytest.mark.parametrize("runs", [3, 8])
def test_intervals_cover_a_true_difference(runs: int) -> None:
    table = false_verdicts()
    a, b = table.studies(np.random.default_rng(4), 500, runs, 33, 0.25, gain=0.5)
    found = estimate(components(a, b, paired=True))
    covered = np.mean(np.abs(found.value - table.true_difference(0.25, 0.5)) < found.half_width())
    assert 0.92 < covered < 0.98


def test_p_and_interval_agree_at_every_level() -> None:
    a, b = false_verdicts().studies(np.random.default_rng(0), 60, 3, 13, 0.25)
    found = estimate(components(a, b, paired=True))
    for level in (0.8, 0.95, 0.998):
        assert np.array_equal(np.abs(found.value) > found.half_width(level), found.p_value() < 1 - level)


def test_with_runs_held_fixed_equal_methods_are_separated_far_too_often() -> None:
    table = false_verdicts()
    a, b = table.studies(np.random.default_rng(1), 1000, 5, 33, 0.5)
    assert np.mean(np.abs((a - b).mean((1, 2))) > table.runs_fixed(a, b)) > 0.15


@pytest.mark.parametrize("run_sd", [0.0, 0.4])
def test_intervals_over_new_seeds_of_the_same_tasks_cover(run_sd: float) -> None:
    random, hits, n = np.random.default_rng(2), [], 600
    tasks, seeds, runs = 13, 4, 4
    difficulty = random.normal(-0.5, 1.5, (1, 1, tasks))
    rate = np.repeat(difficulty, seeds, -1)
    wide = np.mean(1 / (1 + np.exp(-difficulty - random.normal(0, run_sd, (200_000, 1, 1)) * 1.0)))
    for gain in (0.0, 0.6):
        true = np.mean(1 / (1 + np.exp(-difficulty - gain - random.normal(0, run_sd, (200_000, 1, 1))))) - wide
        a, b = (
            random.binomial(1, 1 / (1 + np.exp(-rate - shift - random.normal(0, run_sd, (n, runs, 1))))).astype(float)
            for shift in (gain, 0.0)
        )
        found = estimate(components(a, b, strata=np.repeat(np.arange(tasks), seeds)))
        hits.append(np.mean(np.abs(found.value - true) < found.half_width()))
    assert min(hits) > 0.925
    assert max(hits) < 0.995


def test_one_run_a_side_is_the_paired_t_test_over_tasks() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(1, 14)), random.normal(0.3, 1, size=(1, 14))
    found = estimate(components(a, b))
    theirs = stats.ttest_rel(a[0], b[0])
    interval = theirs.confidence_interval()
    assert found.p_value() == pytest.approx(theirs.pvalue)
    assert found.value - found.half_width() == pytest.approx(interval.low)


def test_cell_values_have_the_mean_of_all_episodes() -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 4, (3, 7))
    sums = random.binomial(counts, 0.4)
    assert cell_values(sums, counts).mean() == pytest.approx(sums.sum() / counts.sum())
    equal = random.normal(size=(3, 7))
    assert cell_values(equal * 5, np.full((3, 7), 5)) == pytest.approx(equal)


def test_a_shared_effect_of_runs_cancels_where_they_are_paired() -> None:
    random = np.random.default_rng(0)
    shared = random.normal(0, 1, (6, 1))
    a, b = shared + random.normal(0, 0.1, (6, 20)), shared + random.normal(0, 0.1, (6, 20))
    paired, apart = (estimate(components(a, b, paired=paired)).half_width() for paired in (True, False))
    assert paired < 0.2 * apart


def test_the_smallest_difference_is_found_in_four_of_five_studies() -> None:
    random = np.random.default_rng(3)
    tasks, runs = 16, 5

    def side(n: int, mean: float) -> np.ndarray:
        return mean + random.normal(0, 0.05, (n, runs, 1)) + random.normal(0, 0.3, (n, runs, tasks))

    parts = components(side(1, 0.0)[0], side(1, 0.0)[0])
    typical = components(side(4000, 0.0), side(4000, 0.0))
    average = type(parts)(
        np.array(0.0),
        *(
            tuple((part[0].mean(), part[1].mean()) for part in group) if isinstance(group[0], tuple) else (group[0].mean(), group[1].mean())
            for group in (typical.units, typical.runs, typical.cells)
        ),
    )  # fmt: skip
    smallest = power.smallest_difference(average, draws=4000)
    found = estimate(components(side(3000, smallest), side(3000, 0.0))).p_value() < 0.05
    # above 0.8: a report whose run part is its expected one takes it at the median-unbiased estimate
    assert found.mean() == pytest.approx(0.84, abs=0.04)
    assert power.smallest_difference(average, alpha=0.05 / 7) > 1.08 * smallest


@pytest.mark.parametrize("strata", [None, ["t0"]])
def test_a_single_unit_has_no_error_however_many_runs_there_are(strata: list[str] | None) -> None:
    random = np.random.default_rng(0)
    a, b = random.random((5, 1)), random.random((5, 1))
    found = estimate(components(a, b, strata=strata))
    assert np.isnan(found.variance) and np.isnan(found.p_value()) and np.isnan(found.half_width())


def test_with_one_seed_of_each_task_the_tasks_are_one_stratum() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(1, 14)), random.normal(0.3, 1, size=(1, 14))
    found = estimate(components(a, b, strata=np.arange(14)))
    assert found.p_value() == pytest.approx(stats.ttest_rel(a[0], b[0]).pvalue)


@pytest.mark.parametrize("runs", [3, 8])
def test_with_one_seed_of_each_task_a_method_is_not_told_from_an_equal_given_model(runs: int) -> None:
    """Equal chances on each task; the given model has one episode where the method has one for each run."""
    random, n, tasks = np.random.default_rng(0), 600, 20
    chance = 1 / (1 + np.exp(-random.normal(-0.5, 1.5, (n, 1, tasks))))
    a, b = (random.binomial(1, np.repeat(chance, number, 1)).astype(float) for number in (runs, 1))
    false = np.nan_to_num(estimate(components(a, b, strata=np.arange(tasks))).p_value(), nan=1) < 0.05
    assert np.mean(false) < 0.06 + 2.5 * 0.0084


SIZES = ([100] + [1] * 19, [50] * 2 + [2] * 18, [10] * 5 + [1] * 15)


@pytest.mark.parametrize("sizes", SIZES)
def test_tasks_with_many_more_seeds_than_others_do_not_make_false_verdicts(sizes: list[int]) -> None:
    random, n, counts = np.random.default_rng(0), 600, np.array(sizes)
    hard = random.normal(-0.5, 1.5, (n, 1, 20))
    a, b = (
        cell_values(random.binomial(counts, 1 / (1 + np.exp(-hard - random.normal(0, 0.6, (n, 1, 20)))), (n, 3, 20)), np.tile(counts, (n, 3, 1)))
        for _ in range(2)
    )  # fmt: skip
    rates = [np.mean(estimate(components(a, b, shares=shares)).p_value() < 0.05) for shares in (counts / counts.sum(), None)]  # fmt: skip
    assert rates[0] < 0.06 + 2.5 * 0.0084
    assert rates[0] < rates[1]


def test_the_error_with_unequal_shares_is_that_of_a_jackknife_over_tasks() -> None:
    random = np.random.default_rng(0)
    counts = np.array([9, 1, 4, 2, 2])
    sums = random.binomial(counts, 0.5)
    values = cell_values(sums[None], counts[None])
    found = estimate(components(values, shares=counts / counts.sum()))
    without = np.array([np.delete(sums, i).sum() / np.delete(counts, i).sum() for i in range(5)])
    assert found.variance == pytest.approx(4 / 5 * ((without - sums.sum() / counts.sum()) ** 2).sum())
    equal = random.normal(size=(3, 7))
    one, two = (estimate(components(equal, shares=shares)) for shares in (None, np.full(7, 1 / 7)))
    assert (one.variance, one.df) == (pytest.approx(two.variance), pytest.approx(two.df))


def test_runs_that_differ_by_task_leave_an_error_where_their_means_agree() -> None:
    """By luck, the difference is the same on every task; the runs of a task still differ."""
    a = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    found = estimate(components(a, np.zeros((1, 4))))
    cells = sum((value - 0.5) ** 2 for value in a.ravel()) / 16
    assert 0 < found.variance < 2 * cells and 0 < found.p_value() < 1


def test_strata_whose_units_agree_have_a_share_of_the_error_each() -> None:
    error = 2 * 0.75 * 0.25 / 2  # by hand: two units of one outcome, so three of four
    assert without_spread(2) == (pytest.approx(error), 1)
    assert without_spread(20, np.repeat(np.arange(10), 2)) == (pytest.approx(error / 10), 10)
    assert without_spread(20, np.arange(20)) == without_spread(20)
