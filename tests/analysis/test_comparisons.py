"""Comparisons: the same episodes on both sides, verdicts only on methods with runs, lost episodes at both extremes."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simulated_results as simulated
from scipy import stats

from agentmerge_hub.analysis import comparison_table, comparisons, episodes, selection, statistics, tables
from agentmerge_hub.analysis.common_episodes import shared_episodes
from agentmerge_hub.analysis.report import html_tables, limits, verdicts
from agentmerge_hub.errors import UserError


def read(folder: Path, rows: list[dict]) -> episodes.Results:
    return episodes.read([simulated.write(folder / "results", rows)])


def runs(methods: dict[str, float], number: int, **options) -> list[dict]:
    """A study of several training runs of each method: the same tasks, independent outcomes."""
    return [
        row for run in range(number) for row in simulated.study(methods, run_seed=run, luck=run + 5, shift=0, **options)
    ]


def compared(folder: Path, rows: list[dict]) -> list[dict]:
    results = read(folder, rows)
    candidates = selection.choose(results).candidates
    shared, _ = shared_episodes(results, candidates)
    return comparison_table.table(results, candidates, "agentmerge", shared, draws=500)


def test_a_comparison_is_what_a_hand_would_count() -> None:
    a = [simulated.episode(method="agentmerge", seed=s, reward=r) for s, r in enumerate((1.0, 1.0, 0.0, 1.0, 0.0))]
    b = [simulated.episode(method="instruct", seed=s, reward=r) for s, r in enumerate((0.0, 1.0, 1.0, 0.0))]
    row = comparisons.compare(a, b, "inter_task")
    assert (row["pairs"], row["tasks"], row["wins"], row["losses"]) == (4, 1, 2, 1)
    assert row["difference"] == pytest.approx(0.25)
    assert row["p_mcnemar"] == 1.0
    assert row["low_new_tasks"] is None and row["low_same_tasks"] < 0.25 < row["high_same_tasks"]


def test_two_runs_are_models_and_three_are_a_method(tmp_path: Path) -> None:
    far = {"agentmerge": 3.0, "instruct_finetuned": -2.0}
    for number, verdict in ((1, "these two models"), (2, "these models"), (3, "better")):
        (row,) = compared(tmp_path / str(number), runs(far, number, splits={"cross_task": 12}))
        assert (row["verdict"], row["runs_a"], row["about_methods"]) == (verdict, number, number == 3)
        assert row["low"] < row["difference"] < row["high"]
        assert row["p_mcnemar"] if number == 1 else "p_mcnemar" not in row


def test_models_that_share_a_training_run_are_no_sample_of_a_method(tmp_path: Path) -> None:
    rows = runs({"agentmerge": -2.0, "model_soup": 3.0}, 3, splits={"cross_task": 12})
    for pairs, verdict in (("01 23 45", "worse"), ("01 12 02", "these models")):
        merged = [",".join(pair) for pair in pairs.split()]
        mine = [
            row | ({"merged_runs": merged[row["run_seed"]]} if row["method"] == "model_soup" else {}) for row in rows
        ]
        (row,) = compared(tmp_path / pairs, mine)
        assert (row["verdict"], row["runs_b"]) == (verdict, 3)
        results = read(tmp_path / f"limits {pairs}", mine)
        (soup,) = [row for row in tables.table1(results) if row["method"] == "model_soup"]
        said = " ".join(limits.limits(results, [soup], [row], []))
        assert ("Models of model soup were merged from training runs that they share" in said) == (verdict != "worse")
    means = [
        np.mean([r["reward"] for r in mine if r["method"] == "model_soup" and r["task"] == t])
        for t in sorted({r["task"] for r in mine})
    ]
    assert soup["se"] == pytest.approx(np.std(means, ddof=1) / 12**0.5)  # over tasks, of these three models


def test_answers_under_another_models_name_are_named(tmp_path: Path) -> None:
    rows = simulated.study({"expert": 0.0}, splits={"cross_task": 3}, model="large")
    rows = [row | {"answered_as": "small-8b" if row["seed"] == 1000 else None} for row in rows]
    (said,) = [text for text in limits.limits(read(tmp_path, rows), [], [], []) if "answered as" in text]
    assert said.startswith("In 3 episodes of expert (large) the endpoint answered as small-8b: ")


def test_a_rival_at_several_lambdas_is_told_apart(tmp_path: Path) -> None:
    rows = runs({"agentmerge": 0.5}, 3, splits={"cross_task": 4}, learning_rate=1e-6, merge_lambda=0.5)
    for weight in (0.3, 0.7):
        rows += runs({"wise_ft": 0.0}, 3, splits={"cross_task": 4}, learning_rate=5e-6, merge_lambda=weight)
    table = compared(tmp_path, rows)
    cells = [line.cells[:2] for line in html_tables.comparisons(table, "agentmerge").lines if line.cells]
    assert cells == [("wise ft (λ 0.3)", "1e-6 : 5e-6"), ("wise ft (λ 0.7)", "1e-6 : 5e-6")]
    assert [verdict.against for verdict in verdicts.verdicts(table, "agentmerge")] == [
        "wise ft (λ 0.3)",
        "wise ft (λ 0.7)",
    ]


def test_the_answer_names_the_agents_where_there_are_several(tmp_path: Path) -> None:
    rows = [
        row | {"agent": agent}
        for agent in ("cot", "no-cot")
        for row in simulated.study({"agentmerge": 0.5, "instruct": 0.0}, splits={"cross_task": 3})
    ]
    table = compared(tmp_path, rows)
    said = verdicts.answer(table, "agentmerge", read(tmp_path / "again", rows))
    assert said.count("on new tasks (cot agent)") == said.count("on new tasks (no-cot agent)") == 1
    assert "agent)" not in verdicts.answer(table[:1], "agentmerge", read(tmp_path / "one", rows))


def test_a_given_model_needs_no_runs(tmp_path: Path) -> None:
    rows = runs({"agentmerge": 2.0}, 3, splits={"cross_task": 12})
    rows += simulated.study({"instruct": -3.0}, splits={"cross_task": 12}, shift=0)
    (row,) = compared(tmp_path, rows)
    assert (row["runs_a"], row["runs_b"], row["verdict"]) == (3, 1, "better")


@pytest.mark.parametrize("who", ["agentmerge", "instruct_finetuned"])
@pytest.mark.parametrize("on", [0.0, 1.0])
def test_episodes_lost_by_their_reward_make_no_verdict(tmp_path: Path, who: str, on: float) -> None:
    rows = runs({"agentmerge": 0.0, "instruct_finetuned": 0.0}, 4, splits={"cross_task": 15}, spread=1)
    for row in rows:
        if row["method"] == who and row["reward"] == on:
            row |= {"status": "crashed", "reward": None, "success": None, "error_class": "EndpointError"}
    (row,) = compared(tmp_path, rows)
    assert abs(row["difference"]) > 0.3
    assert row["difference_lowest"] < 0.1 and row["difference_highest"] > -0.1
    assert row["verdict"] == "not settled"


def test_a_few_lost_episodes_leave_a_clear_verdict(tmp_path: Path) -> None:
    rows = runs({"agentmerge": 2.0, "instruct_finetuned": -2.0}, 4, splits={"cross_task": 15}, lost=0.03)
    (row,) = compared(tmp_path, rows)
    assert row["lost_a"] + row["lost_b"] > 0 and row["verdict"] == "better"


def test_runs_that_share_some_seeds_are_compared_as_independent_and_the_report_says_so() -> None:
    """A strong effect of the seed, common to both methods, and no difference between them."""
    widths, false = {}, 0
    for first in (0, 2, 9):  # all five seeds shared, three, none
        for study in range(6):
            random = np.random.default_rng(study)
            effect, ability = random.normal(0, 1.2, 20), random.normal(-0.3, 1, 8)
            rows = [
                simulated.episode(
                    method=method, task=f"t{task}", seed=s, run_seed=seed, model=f"{method}{seed}",
                    reward=float(random.uniform() < 1 / (1 + np.exp(-ability[task] - effect[seed]))),
                )
                for method, start in (("agentmerge", 0), ("instruct_finetuned", first))
                for seed in range(start, start + 5) for task in range(8) for s in range(2)
            ]  # fmt: skip
            a, b = ([row for row in rows if row["method"] == name] for name in ("agentmerge", "instruct_finetuned"))
            row = comparisons.compare(a, b, "cross_task", draws=100)
            widths.setdefault(first, []).append(row["high"] - row["low"])
            false += first == 2 and row["p"] < 0.05
        assert (row["paired_runs"], row["shared_run_seeds"]) == (first == 0, max(5 - first, 0))
    assert false <= 1
    assert np.mean(widths[0]) < 0.6 * np.mean(widths[2])
    sentences = {}
    for shift in (8, 7, 4):
        moved = [{**r, "run_seed": r["run_seed"] + shift * (r["method"] == "agentmerge")} for r in rows]
        results = episodes.Results(moved, ())
        found = comparison_table.table(results, selection.choose(results).candidates, "agentmerge", draws=100)
        sentences[shift] = " ".join(limits.limits(results, [], found, []))
    assert "share only 4 training seeds" in sentences[8] and "share only" not in sentences[4]
    assert "compared as independent" in sentences[7]


@pytest.mark.parametrize("number", [3, 5])
def test_the_report_says_what_three_runs_cannot_show(number: int) -> None:
    """The runs of one method solve everything or nothing, those of the other half of everything."""
    rows = [
        simulated.episode(method=method, task=f"t{task}", seed=s, run_seed=run, model=f"{method}{run}", reward=reward)
        for method in ("agentmerge", "instruct_finetuned") for run in range(number) for task in range(6) for s in range(2)
        for reward in [float(run % 2 if method == "agentmerge" else s)]
    ]  # fmt: skip
    results = episodes.Results(rows, ())
    found = comparison_table.table(results, selection.choose(results).candidates, "agentmerge", draws=100)
    said = " ".join(limits.limits(results, [], found, []))
    assert found[0]["runs_differ_alone"] == "a"
    assert ("Three or four training runs show little" in said) == (number == 3)
    assert ("differ so for AgentMerge against instruct fine-tuned (cross-task)" in said) == (number == 3)


def test_holm_covers_both_splits(tmp_path: Path) -> None:
    methods = {"agentmerge": 0.6, "instruct_finetuned": 0.0, "model_soup": 0.1}
    rows = compared(tmp_path, runs(methods, 3))
    assert len(rows) == 4
    assert [row["p_holm"] for row in rows] == pytest.approx(statistics.holm([row["p"] for row in rows]))


def test_unequal_sets_are_reduced_to_the_common_episodes(tmp_path: Path) -> None:
    rows = runs({"agentmerge": 1.0, "instruct_finetuned": -1.0}, 3, splits={"cross_task": 6}, seeds=4)
    rows = [
        row
        for row in rows
        if not (row["method"] == "agentmerge" and row["seed"] > 1001 and row["task"] == "miniwob.cross-task-0")
    ]
    rows = [row for row in rows if not (row["run_seed"] == 2 and row["task"] == "miniwob.cross-task-1")]
    results = read(tmp_path, rows)
    candidates = selection.choose(results).candidates
    shared, notes = shared_episodes(results, candidates)
    assert "18 common ones of 24" in notes[0]
    (row,) = comparison_table.table(results, candidates, "agentmerge", shared, draws=200)
    table = {line["method"]: line["reward"] for line in tables.table1(results, candidates, shared)}
    assert row["pairs"] == 18
    assert (row["mean_a"], row["mean_b"]) == pytest.approx((table["agentmerge"], table["instruct_finetuned"]))


def test_fractional_rewards_have_no_mcnemar(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        simulated.episode(method=method, task=f"t{t}", seed=s, reward=float(random.uniform(0.1, 0.9)))
        for method in ("agentmerge", "instruct_finetuned") for t in range(8) for s in range(3)
    ]  # fmt: skip
    (row,) = compared(tmp_path, rows)
    assert "p_mcnemar" not in row and 0 < row["p"] <= 1


def test_episodes_without_spread_have_a_test_but_no_interval(tmp_path: Path) -> None:
    rows = runs({"agentmerge": 60.0, "instruct_finetuned": -60.0}, 3, splits={"cross_task": 8}, spread=0.1)
    (row,) = compared(tmp_path, rows)
    assert row["low"] is None and row["verdict"] == "better"
    error = math.sqrt(2 * 0.9 * 0.1 / 8)  # by hand: nine of ten on one side, one of ten on the other
    assert row["p"] == pytest.approx(2 * stats.t.sf(1 / error, 7))
    rows = runs({"agentmerge": -60.0, "instruct_finetuned": -60.0}, 3, splits={"cross_task": 8}, spread=0.1)
    (row,) = compared(tmp_path / "none", rows)
    assert row["p"] == 1 and row["verdict"] == "not settled"


def test_methods_are_compared_at_the_same_learning_rate(tmp_path: Path) -> None:
    splits = {"cross_task": 3}
    rows = simulated.study({"instruct": -1.0}, splits=splits, learning_rate=5e-6)  # not a setting of this study
    for rate in (1e-6, 5e-6):
        rows += simulated.study({"agentmerge": 0.5, "instruct_finetuned": 0.4}, splits=splits, learning_rate=rate)
    rows += simulated.study({"model_soup": 0.4}, splits=splits, learning_rate=5e-6)
    rows += simulated.study({"agent": 0.4}, splits=splits, learning_rate=2e-6)
    pairs = {(row["learning_rate_a"], row["method_b"], row["learning_rate_b"]) for row in compared(tmp_path, rows)}
    assert pairs == {
        (1e-6, "instruct", None), (5e-6, "instruct", None),
        (1e-6, "instruct_finetuned", 1e-6), (5e-6, "instruct_finetuned", 5e-6),
        (5e-6, "model_soup", 5e-6), (1e-6, "agent", 2e-6), (5e-6, "agent", 2e-6),
    }  # fmt: skip


@pytest.mark.parametrize("second", ["results", "more"])
def test_two_rewards_of_one_episode_stop_the_analysis(tmp_path: Path, second: str) -> None:
    rows = simulated.study({"agentmerge": 0.0, "instruct_finetuned": 0.0}, splits={"cross_task": 3})
    other = [{**row, "reward": 1 - row["reward"], "success": not row["success"]} for row in rows[:2]]
    if second == "results":
        folders = [simulated.write(tmp_path / "results", rows + other)]
    else:
        folders = [simulated.write(tmp_path / "results", rows), simulated.write(tmp_path / "more", other)]
    with pytest.raises(UserError, match="is there twice" if second == "results" else "leave out the folder"):
        episodes.read(folders)


def test_an_episode_that_crashed_and_then_finished_counts_once_as_finished(tmp_path: Path) -> None:
    rows = simulated.study({"agentmerge": 0.0, "instruct_finetuned": 0.0}, splits={"cross_task": 3})
    crashed = [{**row, "status": "crashed", "reward": None, "success": None} for row in rows]
    folders = [simulated.write(tmp_path / "one", crashed), simulated.write(tmp_path / "two", rows)]
    results = episodes.read(folders)
    assert len(episodes.done(results.rows)) == len(results.rows) == len(rows)


def test_one_models_weights_under_two_names_are_one_model(tmp_path: Path) -> None:
    rows = simulated.study(
        {"agentmerge": 0.0}, splits={"cross_task": 3}, model="am", weights_hash="a1", engine="vllm 0.11"
    )
    other = [row | {"seed": row["seed"] + 50, "model": "agentmerge"} for row in rows]
    assert len(read(tmp_path, rows + other).rows) == 2 * len(rows)
    with pytest.raises(UserError, match="are different models of agentmerge"):
        read(tmp_path / "endpoint", [row | {"engine": "endpoint"} for row in rows + other])


@pytest.mark.parametrize("differs", [{"model": "lambda-0.7"}, {"weights_hash": "b2"}])
def test_undeclared_models_of_one_method_are_not_put_together(tmp_path: Path, differs: dict) -> None:
    rows = simulated.study({"agentmerge": 0.0}, splits={"cross_task": 3}, model="lambda-0.3", weights_hash="a1")
    other = [{**row, "seed": row["seed"] + 50, **differs} for row in rows]
    with pytest.raises(UserError, match=r"different models of agentmerge.*declare their merge_lambda"):
        read(tmp_path, rows + other)
    assert read(tmp_path / "two", rows + [{**row, "run_seed": 1} for row in other])


def test_an_episode_in_two_splits_stops_the_analysis(tmp_path: Path) -> None:
    rows = simulated.study({"agentmerge": 0.0, "instruct_finetuned": 0.0}, splits={"cross_task": 3})
    with pytest.raises(UserError, match="in the splits cross_task and inter_task"):
        read(tmp_path, rows + [{**row, "split": "inter_task"} for row in rows])


@pytest.mark.parametrize("name", ["task", "seed"])
def test_an_episode_without_a_task_or_seed_stops_the_analysis(tmp_path: Path, name: str) -> None:
    rows = simulated.study({"agentmerge": 0.0, "instruct_finetuned": 0.0}, splits={"cross_task": 3})
    rows[0][name] = None
    with pytest.raises(UserError, match=f"has no {name}"):
        read(tmp_path, rows)


def test_a_table_that_pandas_wrote_has_the_same_candidates(tmp_path: Path) -> None:
    rows = simulated.study(
        {"agentmerge": 0.0},
        splits={"cross_task": 3},
        learning_rate=1e-5,
        samples_seen=5120,
        merge_lambda=0.5,
        run_seed=1,
    )
    rows += simulated.study({"instruct": 0.0}, splits={"cross_task": 3})
    folder = simulated.write(tmp_path / "results", rows)
    expected = set(episodes.read([folder]).by_candidate())
    table = pq.read_table(folder / "results.parquet").to_pandas()
    table.to_parquet(folder / "results.parquet")
    assert set(episodes.read([folder]).by_candidate()) == expected
    assert {type(one.samples_seen) for one in episodes.read([folder]).by_candidate()} == {int, type(None)}
    assert {str(row["run_seed"]) for row in episodes.read([folder]).rows} == {"1", "None"}
    seeds = pa.array([float("nan"), *map(float, table["seed"][1:])])
    pq.write_table(
        pa.Table.from_pandas(table.drop(columns="seed")).append_column("seed", seeds), folder / "results.parquet"
    )
    with pytest.raises(UserError, match="has no seed"):
        episodes.read([folder])


def three_runs(
    rewards: dict[str, Callable[[int, int], float]], *, tasks: int, seeds: int, split: str = "cross_task"
) -> list[dict]:
    """Three runs of each method, whose reward on a task and seed is given."""
    return [
        simulated.episode(
            method=method, task=f"t{task:02}", seed=seed, run_seed=run, model=f"{method}{run}", split=split, reward=reward(task, seed)
        )
        for method, reward in rewards.items() for run in range(3) for task in range(tasks) for seed in range(seeds)
    ]  # fmt: skip


def lost(row: dict) -> dict:
    return row | {"status": "crashed", "reward": None, "success": None, "error_class": "EndpointError"}


def test_one_task_makes_no_claim_about_new_tasks(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    rows = three_runs(
        {"agentmerge": lambda t, s: float(random.random() < 0.9), "instruct_finetuned": lambda t, s: float(random.random() < 0.1)},
        tasks=1, seeds=12,
    )  # fmt: skip
    (row,) = compared(tmp_path, rows)
    assert row["difference"] > 0.5
    assert (row["low"], row["p"], row["verdict"]) == (None, 1, "not settled")
    assert row["p_same_tasks"] < 0.05
    (verdict,) = verdicts.verdicts([row], "agentmerge")
    assert "one task shows nothing of other tasks, so there is no interval" in verdict.sentence


def test_given_models_with_one_seed_of_each_task_are_compared_over_tasks(tmp_path: Path) -> None:
    solved = {"instruct": range(12), "base": range(0, 20, 5)}
    rows = [
        simulated.episode(method=name, task=f"t{task:02}", split="inter_task", reward=float(task in which))
        for name, which in solved.items() for task in range(20)
    ]  # fmt: skip
    results = read(tmp_path, rows)
    (row,) = comparison_table.table(results, selection.choose(results).candidates, "instruct", draws=200)
    a, b = ([float(task in which) for task in range(20)] for which in solved.values())
    expected = stats.ttest_rel(a, b)
    assert row["p"] == pytest.approx(expected.pvalue)
    assert row["low"] == pytest.approx(expected.confidence_interval().low)


def test_tasks_whose_seeds_agree_are_no_more_certain_than_their_number_of_seeds(tmp_path: Path) -> None:
    rows = three_runs(
        {"agentmerge": lambda t, s: float(t < 3), "instruct_finetuned": lambda t, s: 0.0}, tasks=10, seeds=2, split="inter_task"
    )  # fmt: skip
    (row,) = compared(tmp_path, rows)
    error = math.sqrt(2 * 0.75 * 0.25 / 2 / 10)  # by hand: three of four on each side of each of ten tasks
    assert row["p"] == pytest.approx(2 * stats.t.sf(0.3 / error, 10))
    (verdict,) = verdicts.verdicts([row], "agentmerge")
    assert "the difference is the same on every seed of a task" in verdict.sentence


def test_an_episode_that_one_method_lost_does_not_count_for_the_other(tmp_path: Path) -> None:
    """Both methods solve the same tasks; one lost the tasks that neither solves, or they did in one run."""
    solve = {method: lambda t, s: float(t < 5) for method in ("agentmerge", "instruct_finetuned")}
    for runs in ({0, 1, 2}, {1}):
        rows = [
            lost(row) if row["method"] == "agentmerge" and row["task"] >= "t05" and row["run_seed"] in runs else row
            for row in three_runs(solve, tasks=10, seeds=3)
        ]
        (row,) = compared(tmp_path / str(len(runs)), rows)
        assert row["difference"] == pytest.approx(0) and row["mean_a"] == pytest.approx(row["mean_b"])
        assert (row["pairs"], row["tasks"]) == ((15, 5) if len(runs) == 3 else (30, 10))
        assert (row["planned"], row["difference_lowest"]) == (30, pytest.approx(0))
        (verdict,) = verdicts.verdicts([row], "agentmerge")
        assert "episodes are lost: over all 30 (task, seed) +0.0 points if all of them failed" in verdict.sentence


def test_methods_that_finished_no_episode_in_common_are_not_compared(tmp_path: Path) -> None:
    rows = [
        lost(row) if (row["method"] == "agentmerge") == (row["task"] < "t03") else row
        for row in three_runs(
            {"agentmerge": lambda t, s: 1.0, "instruct_finetuned": lambda t, s: 0.0}, tasks=6, seeds=2
        )
    ]
    (row,) = compared(tmp_path, rows)
    assert (row["pairs"], row["verdict"], row["p_holm"]) == (0, "not compared", None)


def test_lost_episodes_may_have_been_as_low_as_the_rewards_that_were_seen(tmp_path: Path) -> None:
    rows = three_runs(
        {"agentmerge": lambda t, s: -0.2, "instruct_finetuned": lambda t, s: -0.8 - 0.2 * (t % 2)}, tasks=8, seeds=2
    )  # fmt: skip
    rows[0] = lost(rows[0])
    (row,) = compared(tmp_path, rows)
    assert row["difference_lowest"] == pytest.approx((47 * -0.2 - 1) / 48 + 0.9)
    assert row["difference_highest"] == pytest.approx((47 * -0.2 + 1) / 48 + 0.9)
    (verdict,) = verdicts.verdicts([row], "agentmerge")
    assert "whatever they were, with rewards from -1 to 1." in verdict.sentence
    results = read(tmp_path / "limits", rows)
    scored = tables.table1(results)
    assert [line["reward_if_unfinished_failed"] for line in scored] == pytest.approx([-0.9, -0.2])
    said = limits.limits(results, scored, [row], [])
    assert said[0] == "No method solved any of its 95 finished episodes, their rewards differ below that."


def test_a_comparison_without_common_episodes_takes_no_share_of_the_level(tmp_path: Path) -> None:
    rows = runs({"agentmerge": 0.3, "instruct_finetuned": 0.0}, 3, splits={"cross_task": 8})
    alone = compared(tmp_path / "alone", rows)
    other = runs({"model_soup": 0.0}, 3, splits={"inter_task": 8})
    for row in other:
        row["task"] += "-other"
    both = compared(tmp_path / "both", rows + other)
    assert [row["verdict"] for row in both if not row["pairs"]] == ["not compared"] * 3
    (row,) = [row for row in both if row["pairs"]]
    assert row["smallest_difference"] == alone[0]["smallest_difference"] is not None


def test_no_difference_of_more_points_than_rewards_allow_is_said_to_show(tmp_path: Path) -> None:
    random = np.random.default_rng(3)

    def draw(task: int, seed: int) -> float:
        return float(random.random() < 0.5)

    (row,) = compared(tmp_path, three_runs({"agentmerge": draw, "instruct_finetuned": draw}, tasks=2, seeds=2))
    assert row["low"] is not None and row["smallest_difference"] is None
    (verdict,) = verdicts.verdicts([row], "agentmerge")
    assert "only" not in verdict.sentence and "no possible difference would usually show" in verdict.sentence


def test_runs_with_the_same_weights_are_one_run(tmp_path: Path) -> None:
    """Four declared runs of a method that are one model: no verdict on methods, and each episode counts once."""
    rows = simulated.study({"agentmerge": 2.0, "instruct_finetuned": -2.0}, splits={"cross_task": 12})
    one = [row | {"weights_hash": row["method"] + "-weights"} for row in rows]
    four = [row | {"run_seed": run, "model": f"{row['method']}-{run}"} for run in range(4) for row in one]
    results = read(tmp_path, four)
    assert sum(note.endswith("have the same weights: they are one run.") for note in results.notes) == 2
    assert "The runs 0 and 1 and 2 and 3 of AgentMerge" in " ".join(results.notes)
    (row,) = compared(tmp_path / "again", four)
    assert (row["runs_a"], row["runs_b"], row["verdict"]) == (1, 1, "these two models")
    (alone,) = compared(tmp_path / "one", one)
    assert (row["low"], row["high"]) == (alone["low"], alone["high"])
    served_elsewhere = [row | {"engine": "endpoint", "weights_hash": "main"} for row in four]
    assert {row["run_seed"] for row in read(tmp_path / "endpoint", served_elsewhere).rows} == {0, 1, 2, 3}


def test_models_of_two_methods_with_the_same_weights_are_named_with_their_settings(tmp_path: Path) -> None:
    rows = simulated.study({"agent": 0.0}, splits={"cross_task": 3}, run_seed=0, weights_hash="a")
    rows += [row | {"method": "agentmerge", "model": "m", "merge_lambda": 1.0} for row in rows]
    rows += [
        row | {"model": "n", "merge_lambda": 0.5, "weights_hash": "b"} for row in rows if row["method"] == "agentmerge"
    ]
    said = limits.limits(read(tmp_path, rows), [], [], [])
    assert (
        "agent (base fine-tuned), run 0 and AgentMerge, λ 1, run 0 have the same weights: their scores are one model's."
        in said
    )
    elsewhere = [row | {"engine": "endpoint"} for row in rows]
    assert not any(
        "same weights" in sentence for sentence in limits.limits(read(tmp_path / "e", elsewhere), [], [], [])
    )


def test_episodes_with_unlike_prompts_are_not_one_candidates(tmp_path: Path) -> None:
    rows = simulated.study(
        {"agentmerge": 0.0, "instruct_finetuned": 0.0}, splits={"cross_task": 3}, flags='{"use_html": false}'
    )
    more = [row | {"seed": row["seed"] + 50} for row in rows]
    folders = [
        simulated.write(tmp_path / name, part)
        for name, part in (
            ("one", rows), ("default", [row | {"flags": '{"use_html": false, "use_tabs": false}'} for row in more]),
            ("html", [row | {"flags": '{"use_html": true}'} for row in more]),
        )
    ]  # fmt: skip
    assert len(episodes.read(folders[:2]).rows) == 60
    with pytest.raises(UserError, match=r"html: the agent 'advanced' had unlike prompts \(use_html\).*different names"):
        episodes.read([folders[0], folders[2]])


def test_compared_methods_with_unlike_prompts_or_number_formats_are_named(tmp_path: Path) -> None:
    rows = [
        row | ({"flags": '{"use_html": true}', "number_format": "Q4_0"} if row["method"] == "agentmerge" else {"flags": "{}", "number_format": "bfloat16"})
        for row in runs({"agentmerge": 1.0, "instruct_finetuned": 0.0}, 3, splits={"cross_task": 6})
    ]  # fmt: skip
    for flags, other in (('{"use_html": false}', True), ('{"use_html": true}', False), ("{}", False)):
        changed = [row | {"flags": flags} if row["method"] != "agentmerge" else row for row in rows]
        results = read(tmp_path / str(len(flags)), changed)
        found = comparison_table.table(results, selection.choose(results).candidates, "agentmerge", draws=100)
        said = " ".join(limits.limits(results, [], found, []))
        assert ("AgentMerge and instruct fine-tuned were evaluated with unlike prompts (use_html)" in said) == other
        assert "were not all served in one number format (Q4_0; bfloat16)" in said
    mixed = read(tmp_path / "mixed", [row | {"flags": "{}", "engine": "vllm 0.11, transformers 5.23"} for row in rows])
    found = comparison_table.table(mixed, selection.choose(mixed).candidates, "agentmerge", draws=100)
    assert "were not all served by one engine (transformers 5.23; vllm 0.11)" in " ".join(
        limits.limits(mixed, [], found, [])
    )


def test_an_infinite_setting_is_named(tmp_path: Path) -> None:
    rows = simulated.study({"agentmerge": 0.0}, splits={"cross_task": 3}, merge_lambda=math.inf)
    with pytest.raises(UserError, match="has merge_lambda inf"):
        read(tmp_path, rows)


def test_a_rate_is_bounded_by_the_number_of_seeds_and_not_of_runs(tmp_path: Path) -> None:
    """Three runs that fail on the same twelve (task, seed): 95 % of studies with a rate of 1 − .05^(1/12) show a success."""
    rows = three_runs(
        {"agentmerge": lambda t, s: 0.0, "instruct_finetuned": lambda t, s: float(t < 2)}, tasks=4, seeds=3
    )
    results = read(tmp_path, rows)
    said = limits.limits(results, tables.table1(results), [], [])
    assert "36 episodes of 12 (task, seed), a rate below 22.1%)" in said[0]  # 1 - 0.05 ** (1 / 12), rounded up


def test_unreadable_answers_of_the_chosen_merge_are_said_whatever_other_merges_answered(tmp_path: Path) -> None:
    rows = [
        simulated.episode(
            method="agentmerge", task=f"t{task}", merge_lambda=weight, model=f"m{weight}", error_class="parse" if weight == 0.3 else None
        )
        for weight in (0.3, 0.7) for task in range(4)
    ]  # fmt: skip
    results = read(tmp_path, rows)
    scored = [row for row in tables.table1(results) if row["merge_lambda"] == 0.3]
    assert any("All 4 episodes of AgentMerge" in sentence for sentence in limits.limits(results, scored, [], []))


@pytest.mark.parametrize(
    ("column", "value", "says"), [("reward", "1.0", "numbers"), ("run_seed", "a", "numbers"), ("task", 3, "texts")]
)
def test_a_column_of_another_type_is_named(tmp_path: Path, column: str, value: object, says: str) -> None:
    folder = simulated.write(tmp_path / "results", simulated.study({"agentmerge": 0.0}, splits={"cross_task": 3}))
    table = pq.read_table(folder / "results.parquet")
    changed = table.set_column(table.column_names.index(column), column, pa.array([value] * len(table)))
    pq.write_table(changed, folder / "results.parquet")
    with pytest.raises(UserError, match=f"the column '{column}' holds .* in place of {says}"):
        episodes.read([folder])


def test_two_instruct_models_are_told_what_would_keep_them_apart(tmp_path: Path) -> None:
    rows = [
        row | {"model": f"instruct-{run}", "run_seed": run} for run in range(2) for row in simulated.study({"instruct": 0.0}, splits={"cross_task": 3})
    ]  # fmt: skip
    with pytest.raises(UserError, match="of instruct, which is one given model: give one of them another method"):
        read(tmp_path, rows)


def test_validation_episodes_are_no_episodes_of_table_1(tmp_path: Path) -> None:
    rows = runs({"agentmerge": 1.0, "instruct_finetuned": 0.0}, 1, splits={"cross_task": 3, "validation": 3})
    rows = [row for row in rows if row["split"] == "cross_task" or row["seed"] < 1002 or row["method"] == "agentmerge"]
    results = read(tmp_path, rows)
    assert shared_episodes(results, selection.choose(results).candidates)[1] == []
