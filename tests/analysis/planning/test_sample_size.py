"""Closed-form sample sizes against simulated power, and the paper's Table 1."""

import numpy as np
import pytest
from scipy import stats

from agentmerge_hub.analysis import statistics
from agentmerge_hub.analysis.planning import published_table1, sample_size
from agentmerge_hub.package_data import data_folder

RANDOM = np.random.default_rng(3)


def test_unpaired_size_has_the_power_it_promises() -> None:
    n = sample_size.unpaired(0.136, 0.042)
    a, b = RANDOM.binomial(n, 0.136, 4000) / n, RANDOM.binomial(n, 0.178, 4000) / n
    z = (b - a) / np.sqrt((a + b) * (1 - (a + b) / 2) / n)
    assert np.mean(np.abs(z) > stats.norm.ppf(0.975)) == pytest.approx(0.8, abs=0.025)
    assert n == pytest.approx(1170, rel=0.02)


def test_paired_size_has_the_power_it_promises() -> None:
    n = sample_size.paired(0.05, 0.2)
    counts = RANDOM.multinomial(n, [0.125, 0.075, 0.8], size=3000)
    p = [statistics.mcnemar(int(wins), int(losses)) for wins, losses, _ in counts]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.8, abs=0.04)


def test_no_success_bounds_the_rate_as_clopper_and_pearson_do() -> None:
    assert sample_size.rate_above_none(30) == pytest.approx(stats.beta.ppf(0.95, 1, 30))


def test_the_papers_table_is_not_settled_by_its_own_errors() -> None:
    rows = published_table1.table()
    assert len(rows) == 5
    assert min(row["p"] for row in rows) == pytest.approx(0.26, abs=0.01)
    assert max(row["p"] for row in rows) == pytest.approx(0.76, abs=0.01)
    page = (data_folder("recipes").parent / "docs" / "paper.md").read_text()
    assert (
        "(p = {:.2f} to {:.2f})".format(*sorted(row["p"] for row in rows)[:: len(rows) - 1]).replace("0.", ".") in page
    )
    for row in rows:
        assert row["low"] < 0 < row["high"]
        assert row["p_smallest"] < row["p"] < row["p_largest"]
        assert row["p_holm"] >= row["p"]
    first = rows[0]
    assert first["difference"] == pytest.approx(0.042)
    assert first["p"] == pytest.approx(2 * stats.norm.sf(0.042 / np.hypot(0.03, 0.03)))
    assert (first["needed_paired_low"], first["needed_paired_high"]) == pytest.approx((440, 890), rel=0.02)
