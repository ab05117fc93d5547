"""Scores from other sources: lm-evaluation-harness and the likelihood of expert answers."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simulated_results as simulated

from agentmerge_hub.analysis import forgetting, likelihood
from agentmerge_hub.errors import UserError


def lm_eval(folder: Path, **results: dict) -> Path:
    folder.mkdir(parents=True)
    (folder / "results_2026-01-01T00-00-00.json").write_text(json.dumps({"results": results, "n-samples": {}}))
    return folder


def test_forgetting_is_the_change_from_the_first_model(tmp_path: Path) -> None:
    before = {
        "alias": "arc_easy",
        "acc,none": 0.6,
        "acc_stderr,none": 0.03,
        "acc_norm,none": 0.5,
        "acc_norm_stderr,none": "N/A",
    }
    after = before | {"acc,none": 0.5, "acc_stderr,none": 0.04}
    scored = {
        "instruct": lm_eval(tmp_path / "a" / "model", arc_easy=before).parent,
        "tuned": lm_eval(tmp_path / "b", arc_easy=after),
    }
    rows = {(row["metric"], row["model"]): row for row in forgetting.table(scored)}
    assert rows["acc", "tuned"]["change"] == pytest.approx(-0.1)
    assert rows["acc", "tuned"]["change_se"] == pytest.approx(0.05)
    assert rows["acc_norm", "tuned"]["change_se"] is None
    assert "change" not in rows["acc", "instruct"]


def test_likelihood_is_the_geometric_mean_of_token_probabilities(tmp_path: Path) -> None:
    rows = [
        {"split": "cross_task", "sample_id": str(i), "mean_logprob": np.log(p), "think_logprob": np.log(p) / 2, "greedy_match": i == 0}
        for i, p in enumerate((0.2, 0.8))
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "agent-80.parquet")
    episodes = [simulated.episode(model="agent-80", method="agent", learning_rate=1e-6, samples_seen=80)]
    (row,) = likelihood.summarise((str(tmp_path / "agent-80.parquet"),), episodes)
    assert (row["method"], row["learning_rate"], row["samples_seen"], row["samples"]) == ("agent", 1e-6, 80, 2)
    assert row["likelihood"] == pytest.approx(0.4)
    assert row["likelihood_low"] == pytest.approx(0.4 * np.exp(-np.log(4) / 2))
    assert row["think_logprob"] == pytest.approx(np.log(0.4) / 2)
    assert row["greedy_match"] == 0.5


def test_scores_of_other_tests_are_not_compared(tmp_path: Path) -> None:
    def file(name: str, **conditions: object) -> Path:
        content = {"results": {"arc": {"acc,none": 0.5, "acc_stderr,none": 0.01}}} | conditions
        (tmp_path / name).write_text(json.dumps(content))
        return tmp_path / name

    first = file(
        "first",
        **{"n-shot": {"arc": 0}, "versions": {"arc": 1.0}, "n-samples": {"arc": {"original": 900, "effective": 900}}},
    )
    for conditions, says in (
        ({"n-shot": {"arc": 5}}, "arc has n-shot 5, and 0 for a model named before"),
        ({"versions": {"arc": 2.0}}, "arc has versions 2.0, and 1.0"),
        ({"n-samples": {"arc": {"original": 900, "effective": 100}}}, "arc has n-samples 100, and 900"),
    ):
        with pytest.raises(UserError, match=says):
            forgetting.table({"instruct": first, "tuned": file("second", **conditions)})
    assert len(forgetting.table({"instruct": first, "tuned": file("second")})) == 2
    with pytest.raises(UserError, match="names 'm' twice"):
        forgetting.parse((f"m={first}", f"m={first}"))


def test_the_likelihoods_of_two_merges_are_two_rows(tmp_path: Path) -> None:
    known = [simulated.episode(model=f"m{weight}", method="agentmerge", merge_lambda=weight) for weight in (0.3, 0.7)]
    for weight in (0.3, 0.7):
        pq.write_table(
            pa.table({"split": ["x"], "sample_id": ["1"], "mean_logprob": [-weight]}), tmp_path / f"m{weight}.parquet"
        )
    assert {row["likelihood_low"] for row in likelihood.summarise((f"m0.3={tmp_path}/m0.3.parquet",), known)} == {None}
    words = tuple(f"m{weight}={tmp_path}/m{weight}.parquet" for weight in (0.3, 0.7))
    assert [(row["merge_lambda"], row["mean_logprob"]) for row in likelihood.summarise(words, known)] == [
        (0.3, -0.3),
        (0.7, -0.7),
    ]
    with pytest.raises(UserError, match=r"these samples of 'm0\.3' are given already"):
        likelihood.summarise((words[0], words[0]), known)


def test_samples_that_several_runs_scored_are_one_unit_each(tmp_path: Path) -> None:
    known = [simulated.episode(model=f"run{run}", method="agent", run_seed=run) for run in range(3)]
    values = [-0.1, -0.5, -0.9, -2.0]
    table = pa.table({"split": ["x"] * 4, "sample_id": list("abcd"), "mean_logprob": values})
    for run in range(3):
        pq.write_table(table, tmp_path / f"run{run}.parquet")
    (row,) = likelihood.summarise(tuple(f"{tmp_path}/run{run}.parquet" for run in range(3)), known)
    assert (row["samples"], row["se"]) == (12, pytest.approx(np.std(values, ddof=1) / 2))


def test_likelihood_reads_what_the_verb_of_that_name_writes() -> None:
    written = pytest.importorskip("agentmerge_hub.training.likelihood.results").SCHEMA
    assert set(likelihood.NEEDED) < set(written.names)
    assert set(likelihood.SHARES) < set(written.names)
    assert "task" in written.names and "samples_seen" in written.names and "think_logprob" in written.names


def test_wrong_side_inputs_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "results_1.json").write_text('{"results": 3}')
    known = [simulated.episode(model="m")]
    pq.write_table(pa.table({"split": ["cross_task"]}), tmp_path / "no_column.parquet")
    for call, says in (
        (lambda: forgetting.parse(("instruct",)), "NAME=PATH"),
        (lambda: forgetting.table({"a": tmp_path / "empty"}), "has no results_"),
        (lambda: forgetting.table({"a": tmp_path / "results_1.json"}), "is not what lm-evaluation-harness writes"),
        (lambda: likelihood.summarise((f"m={tmp_path / 'none'}",), known), "no file"),
        (lambda: likelihood.summarise((f"m={tmp_path / 'no_column.parquet'}",), known), "has no column 'sample_id'"),
        (lambda: likelihood.summarise((f"m={tmp_path / 'results_1.json'}",), known), "is not readable Parquet"),
        (lambda: likelihood.summarise(("n=x",), known), "the results hold m"),
        (
            lambda: likelihood.summarise(("m=x",), [{**known[0], "merge_lambda": weight} for weight in (0.3, 0.7)]),
            r"is several in the results \(.*merge_lambda 0\.3.*; .*merge_lambda 0\.7",
        ),
    ):
        with pytest.raises(UserError, match=says):
            call()
