"""Records of Every Eval Ever: read back, equal to the tables, and valid for the package's own checks where it is installed."""

import json
from pathlib import Path

import pytest
import simulated_results as simulated

from agentmerge_hub.analysis import episodes, every_eval_ever, tables
from agentmerge_hub.analysis.report import writer
from agentmerge_hub.errors import UserError


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    methods = {"agentmerge": 0.5, "instruct_finetuned": -0.5}
    rows = [
        row
        for seed in range(3)
        for row in simulated.study(
            methods, lost=0.05, run_seed=seed, luck=seed, learning_rate=5e-6, model="/a/place/on/this/machine"
        )
    ]
    rows += simulated.study({"instruct": -2.0}, model="/a/place/on/this/machine/instruct")
    return simulated.write(tmp_path_factory.mktemp("study") / "results", rows)


@pytest.fixture(scope="module")
def records(results: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, dict]:
    out = tmp_path_factory.mktemp("out")
    assert every_eval_ever.write(out, episodes.read([results]), "our-lab", 1_700_000_000.0) == 7
    return {path: json.loads(path.read_text()) for path in sorted(out.rglob("*.json"))}


def test_each_model_has_a_record_with_the_numbers_of_the_tables(results: Path, records: dict[Path, dict]) -> None:
    assert len({path.parent for path in records}) == len(records) == 7
    rows = episodes.read([results]).rows
    for path, record in records.items():
        organization, model = record["model_info"]["id"].split("/")
        assert path.parent.parts[-4:] == ("data", "miniwob", organization, model)
        details = record["model_info"]["additional_details"]
        mine = [
            row
            for row in rows
            if row["method"] == details["method"] and str(row["run_seed"]) == details.get("run_seed", "None")
        ]
        assert {result["source_data"]["additional_details"]["split"] for result in record["evaluation_results"]} == {
            "inter_task", "cross_task",
        }  # fmt: skip
        for result in record["evaluation_results"]:
            split = result["source_data"]["additional_details"]["split"]
            expected = tables.scores([row for row in mine if row["split"] == split], split)
            found = result["score_details"]
            assert found["score"] == pytest.approx(expected["reward"])
            assert found["uncertainty"]["standard_error"]["value"] == pytest.approx(expected["se"])
            assert found["uncertainty"]["num_samples"] == expected["n"]
            assert int(found["details"]["crashed"]) == expected["crashed"]
    assert "on/this/machine" not in "".join(path.read_text() for path in records)


def test_the_package_accepts_every_record(records: dict[Path, dict]) -> None:
    core = pytest.importorskip("every_eval_ever.validator.validation_core")
    from every_eval_ever.eval_types import EvaluationLog

    for path, record in records.items():
        EvaluationLog.model_validate(record)
        repo_path = "/".join(path.parts[-5:])
        assert core.check_path_structure(repo_path) == []
        assert core.check_score_metadata(record) == []
        assert core.check_model_deployment(record) == []
        assert core.check_model_identity_path(repo_path, record) == []


def test_a_report_writes_records_and_repeats_the_option(results: Path, tmp_path: Path) -> None:
    writer.write([results], tmp_path / "report", writer.Options(draws=100, traces=0, organization="our-lab"))
    assert len(list((tmp_path / "report" / "every_eval_ever").rglob("*.json"))) == 7
    assert "--eee our-lab" in (tmp_path / "report" / "report.html").read_text()
    with pytest.raises(UserError, match="is not a name"):
        writer.write([results], tmp_path / "other", writer.Options(draws=100, traces=0, organization="our lab/x"))
    assert not (tmp_path / "other").exists()
