"""`agentmerge plan`: power by simulation of the report's test, the cheapest design, and plans that are kept or not."""

import re
from pathlib import Path

import numpy as np
import pytest
import simulated_results as simulated
import yaml
from click.testing import CliRunner
from report_pages import csv_rows
from scipy import stats

from agentmerge_hub import manifest
from agentmerge_hub.analysis.command import plan
from agentmerge_hub.analysis.planning import design, plan_file
from agentmerge_hub.analysis.report import terminal, verdicts, writer
from agentmerge_hub.analysis.statistics import power
from agentmerge_hub.analysis.statistics.power import Design
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash

EASY = ("--rate", "0.3", "--difference", "0.4", "--between", "0.1", "--run-sd", "0.1")


def run(*words: str) -> str:
    return CliRunner().invoke(plan, list(map(str, words)), catch_exceptions=False).output


def test_power_grows_with_the_study_and_falls_with_the_spread_of_runs() -> None:
    study = design.Study(rate=0.3, difference=0.15, between=0.1, run_sd=0.0)
    small, large = study.power_of(Design(3, 8, 2), 800), study.power_of(Design(8, 40, 3), 800)
    assert small < 0.4 and large > 0.95
    spread = design.Study(rate=0.3, difference=0.15, between=0.1, run_sd=0.8)
    assert spread.power_of(Design(8, 40, 3), 800) < large - 0.1
    several = design.Study(rate=0.3, difference=0.15, between=0.1, run_sd=0.0, comparisons=10)
    assert several.power_of(Design(5, 20, 3), 800) < study.power_of(Design(5, 20, 3), 800) - 0.1


def test_equal_methods_are_found_different_at_the_level_of_the_test() -> None:
    study = design.Study(rate=0.3, difference=1e-9, between=0.0, run_sd=0.3)
    for split in ("cross_task", "inter_task"):
        one_sided = design.Study(**{**study.__dict__, "split": split}).power_of(Design(4, 13, 3), 1500)
        assert one_sided < 0.04


def test_plan_prints_the_power_and_the_cheapest_design() -> None:
    output = run(*EASY, "--runs", 5, "--tasks", 12, "--seeds", 3)
    assert "power 0.9" in output or "power 1.0" in output
    assert "cheapest design with power 0.8" in output
    assert "3 runs" in run(*EASY, "--runs", 3)
    output = run("--difference", "0.002", "--runs", "3", "--tasks", "6")
    assert "no design of 3 runs, 6 tasks and up to 10 seeds has power 0.8" in output


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "0.99", "--difference", "0.05"), ("--difference", "0"), ("--power", "1"),
        ("--runs", "2", "--tasks", "9", "--seeds", "2"), ("--runs", "5", "-o", "plan.yml"),
        ("--runs", "5", "--tasks", "9", "--seeds", "2", "--look", "2", "-o", "plan.yml"),
        ("--runs", "5", "--tasks", "9", "--seeds", "2", "-o", "none/plan.yml"),
        ("--runs", "3", "--tasks", "9", "--seeds", "2", "--look", "3", "--look", "9", "-o", "plan.yml"),
        ("--runs", "5", "--tasks", "9", "--seeds", "2", "--against", "instruct", "-o", "plan.yml"),
        ("--runs", "5", "--tasks", "9", "--seeds", "2", "--method", "base", "-o", "plan.yml"),
        ("--runs", "5", "--tasks", "9", "--seeds", "2", "--method", "soup", "--against", "model-soup", "-o", "plan.yml"),
        ("--training-cost", "-5"), ("--runs", "0"), ("--runs", "1"), ("--tasks", "1"), ("--seeds", "0"),
    ],
)  # fmt: skip
def test_impossible_plans_are_refused_in_a_sentence(words: tuple[str, ...], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        run(*words)
    assert not (tmp_path / "plan.yml").exists()


def test_the_levels_of_all_looks_add_up_to_alpha() -> None:
    looks = plan_file.spend(0.05, 8, (3, 5))
    assert [look.runs for look in looks] == [3, 5, 8]
    assert sum(look.alpha for look in looks) == pytest.approx(0.05, abs=1e-5)
    assert looks[0].alpha < 0.005 < 0.02 < looks[-1].alpha


def test_a_very_early_look_has_a_very_small_level() -> None:
    looks = plan_file.spend(0.05, 30, (3,))
    assert looks[0].alpha == pytest.approx(2 * stats.norm.sf(stats.norm.isf(0.025) / 0.1**0.5))
    assert looks[0].alpha + looks[1].alpha == pytest.approx(0.05)


def results(folder: Path, runs: int, tasks: int = 8, gap: float = 4.0) -> Path:
    methods = {"agentmerge": gap / 2, "instruct_finetuned": -gap / 2}
    rows = [
        row
        for seed in range(runs)
        for row in simulated.study(
            methods, splits={"cross_task": tasks}, seeds=3, run_seed=seed, luck=seed + 1, shift=0, spread=0.5
        )
    ]
    return simulated.write(folder, rows)


def test_a_plan_is_kept_or_not_and_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.yml"
    run(*EASY, "--runs", 5, "--tasks", 8, "--seeds", 3, "--look", 3, "-o", path)
    with pytest.raises(UserError, match="a plan is not changed"):
        run(*EASY, "--runs", 5, "--tasks", 8, "--seeds", 3, "-o", path)
    for name, runs, tasks, gap, says in (
        ("all", 5, 8, 4.0, "the plan was kept.*look 2 of 2.*AgentMerge is better"),
        ("interim", 3, 8, 1.0, "the plan was kept.*look 1 of 2.*go on to the next look"),
        ("equal", 5, 8, 0.0, "the plan was kept.*not settled"),
        ("few runs", 4, 8, 4.0, "the plan was not kept.*4 and 4 training runs instead of 3 or 5"),
        ("more tasks", 5, 9, 4.0, "the plan was not kept.*9 tasks instead of 8"),
    ):
        out = tmp_path / f"report {name}"
        folder = results(tmp_path / name, runs, tasks, gap)
        written = writer.write([folder], out, writer.Options(draws=200, plan_file=path, traces=0))
        terminal.show(written.table1, written.answer, written.plan)
        assert re.search(f"By the pre-registered plan: {says}", " ".join(capsys.readouterr().out.split())), name
        page = " ".join((out / "report.html").read_text().split())
        assert re.search(says, page), name
        (row,) = csv_rows(out / "comparisons.csv")
        assert name == "few runs" or name == "more tasks" or (row["verdict"] == "better") == (name == "all")
        if name == "interim":  # the level of this look is far below 0.05
            assert float(row["p"]) < 0.05 and "is better than" not in page
        assert manifest.read(out)["config"]["plan_sha256"] == content_hash.file_hash(path)
        assert manifest.read(out)["inputs"]["plan"]["name"] == "plan.yml"


def kept_plan(**values: object) -> plan_file.Plan:
    content = {
        "difference": 0.1,
        "rate": 0.3,
        "between": 0.1,
        "run_sd": 0.2,
        "runs": 3,
        "tasks": 8,
        "seeds": 3,
        "comparisons": 1,
    }
    looks = [plan_file.Look(runs=3, alpha=0.05)]
    return plan_file.Plan(**{**content, "alpha": 0.05, "power": 0.8, "looks": looks, **values})


PLANNED = {
    "method_a": "agentmerge",
    "method_b": "instruct_finetuned",
    "split": "cross_task",
    "pairs": 24,
    "tasks": 8,
    "p": 0.02,
    "runs_a": 3,
    "runs_b": 3,
    "difference": 0.2,
    "p_holm": 0.02,
    "agent": "",
    "about_methods": True,
}
"""The planned comparison, as the table of comparisons has it."""


def test_planned_comparisons_that_are_absent_keep_their_share_of_the_level() -> None:
    for comparisons, decision in ((1, "AgentMerge is better"), (3, "the difference is not settled")):
        outcome = plan_file.compare(kept_plan(comparisons=comparisons), [dict(PLANNED)])
        assert outcome.kept and f"Its decision: {decision} (p = {0.02 * comparisons:.4f})" in outcome.sentence


def test_a_comparison_without_common_episodes_does_not_break_a_plan() -> None:
    other = {"method_a": "agentmerge", "method_b": "model_soup", "split": "inter_task", "pairs": 0, "p": None}
    assert plan_file.compare(kept_plan(), [dict(PLANNED), other]).kept
    assert not plan_file.compare(kept_plan(), [dict(PLANNED), other | {"pairs": 3, "p": 0.5}]).kept


def test_a_decision_that_waits_for_its_level_is_not_called_unsettled_by_its_p() -> None:
    row = PLANNED | {
        "low": 0.05,
        "high": 0.35,
        "about_methods": True,
        "learning_rate_a": None,
        "learning_rate_b": None,
        "merge_lambda_a": None,
        "lost_a": 0,
        "lost_b": 0,
        "verdict": "better",
    }
    looks = [plan_file.Look(runs=3, alpha=0.01), plan_file.Look(runs=5, alpha=0.04)]
    assert "go on to the next look" in plan_file.compare(kept_plan(runs=5, looks=looks), [row]).sentence
    said = verdicts.answer([row], "agentmerge", None)
    assert "on new tasks is not settled at the plan's level of 0.01: +20.0 points" in said
    row |= {"chosen_here": True}
    outcome = plan_file.compare(kept_plan(), [row])
    assert not outcome.kept and "λ or checkpoint was chosen on cross-task episodes" in outcome.sentence


def test_looks_that_spend_more_than_alpha_are_refused(tmp_path: Path) -> None:
    path, look = tmp_path / "plan.yml", plan_file.Look(runs=3, alpha=0.05).model_dump()
    good = kept_plan().model_dump()
    for looks, says in (
        ([look, look | {"runs": 5}], "the levels of the looks add up to 0.1, more than alpha, 0.05"),
        ([look | {"alpha": 0.01}], "the looks are after 3 runs: they must rise to 5, the runs of the plan"),
        ([look | {"runs": 5}, look], "the looks are after 5, 3 runs"),
    ):
        path.write_text(yaml.safe_dump(good | {"runs": 5, "looks": looks}))
        with pytest.raises(UserError, match=says):
            plan_file.read(path)
    path.write_text(yaml.safe_dump(good))
    assert plan_file.read(path) == kept_plan()


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.yml"
    for text, says in (
        ("runs: [\n", "is not YAML: line 2: expected"),
        ("runs: 2\n", "is not a plan"),
        ("", "is not a plan"),
        ("runs: 2\nruns: 3\n", "line 2: 'runs' is given twice"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=says):
            plan_file.read(path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        plan_file.read(tmp_path / "none.yml")


@pytest.mark.parametrize("split", ["cross_task", "inter_task"])
def test_a_difference_that_is_the_same_everywhere_is_found_as_the_report_finds_it(split: str) -> None:
    """Without spread there is no interval, but a p by Laplace's rule; such studies counted as failures."""
    study = design.Study(rate=0.001, difference=0.998, between=0.0, run_sd=0.0, split=split)
    assert study.power_of(Design(3, 13, 2), 300) > 0.99


def test_rates_of_tasks_have_the_mean_and_spread_that_were_asked_for() -> None:
    random = np.random.default_rng(1)
    for mean, sd in ((0.5, 0.2), (0.95, 0.1), (0.04, 0.15), (0.9, 0.0), (0.5, 0.5)):
        rates = power.rates_of_tasks(random, mean, sd, (200_000,))
        assert rates.min() >= 0 and rates.max() <= 1 + 1e-12
        assert rates.mean() == pytest.approx(mean, abs=0.004) and rates.std() == pytest.approx(sd, abs=0.004)
    with pytest.raises(
        UserError, match=r"--between is 0\.5: .* a mean of 0\.9 have a standard deviation of at most 0\.300"
    ):
        design.Study(0.1, 0.8, 0.5).check()
