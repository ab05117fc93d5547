"""Records of Every Eval Ever: read back, equal to the tables, and valid for the package's own checks where it is installed."""

import json
from pathlib import Path
from typing import Literal

import pytest
import simulated_results as simulated
from pydantic import BaseModel, ConfigDict, Field

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
    assert every_eval_ever.write(out, episodes.read([results]), "our-lab", 1_700_000_000.0) == 6  # none of instruct
    return {path: json.loads(path.read_text()) for path in sorted(out.rglob("*.json"))}


def test_each_model_has_a_record_with_the_numbers_of_the_tables(results: Path, records: dict[Path, dict]) -> None:
    assert len({path.parent for path in records}) == len(records) == 6
    rows = episodes.read([results]).rows
    for path, record in records.items():
        organization, model = record["model_info"]["id"].split("/")
        assert path.parent.parts[-4:] == ("data", "miniwob", organization, model)
        details = record["model_info"]["additional_details"]
        assert record["model_info"]["developer"] == organization == "our-lab"
        assert record["source_metadata"]["evaluator_relationship"] == "first_party"
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


def test_records_of_two_agents_have_ids_of_their_own_and_rewards_beyond_one_are_no_proportion(tmp_path: Path) -> None:
    rows = [row | {"agent": agent} for agent in ("basic", "advanced") for row in simulated.study({"agentmerge": 0.0})]
    rows[0]["reward"] = -1.0
    rows = [row | {"engine": "endpoint", "weights_hash": "main"} for row in rows]  # a declared revision is no hash
    folder = simulated.write(tmp_path / "results", rows)
    assert every_eval_ever.write(tmp_path / "out", episodes.read([folder]), "our-lab", 1_700_000_000.0) == 2
    records = [json.loads(path.read_text()) for path in (tmp_path / "out").rglob("*.json")]
    assert len({record["evaluation_id"] for record in records}) == 2
    units = {result["metric_config"]["metric_unit"] for record in records for result in record["evaluation_results"]}
    assert units == {"proportion", "reward"}
    assert not any("weights_hash" in record["model_info"]["additional_details"] for record in records)


class Fields(BaseModel):
    """Fields and types of schema 0.3.0 that our records use; another field, or a number as text, is an error."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StandardError(Fields):
    value: float = Field(ge=0)
    method: Literal["analytic", "bootstrap"]


class Uncertainty(Fields):
    num_samples: int = Field(ge=1)
    standard_error: StandardError | None = None


class Score(Fields):
    score: float = Field(ge=0, le=1)
    details: dict[str, str]
    uncertainty: Uncertainty


class Metric(Fields):
    evaluation_description: str
    metric_id: str
    metric_name: str
    metric_unit: str
    lower_is_better: bool
    score_type: Literal["continuous"]
    min_score: float
    max_score: float


class Source(Fields):
    dataset_name: str
    source_type: Literal["other"]
    additional_details: dict[str, str]


class Result(Fields):
    evaluation_result_id: str
    evaluation_name: str
    source_data: Source
    metric_config: Metric
    score_details: Score


class Provenance(Fields):
    source_name: str
    source_type: Literal["documentation", "evaluation_run"]
    source_organization_name: str
    evaluator_relationship: Literal["first_party", "third_party", "collaborative", "other"]


class Library(Fields):
    name: str
    version: str


class Model(Fields):
    name: str
    id: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    developer: str
    additional_details: dict[str, str]


class Record(Fields):
    schema_version: Literal["0.3.0"]
    evaluation_id: str
    retrieved_timestamp: str = Field(pattern=r"^\d+$")
    source_metadata: Provenance
    eval_library: Library
    model_info: Model
    evaluation_results: list[Result] = Field(min_length=1)


def test_every_record_has_the_fields_and_types_of_the_schema(records: dict[Path, dict]) -> None:
    for record in records.values():
        Record.model_validate(record)


def test_the_package_accepts_every_record(records: dict[Path, dict]) -> None:
    how = "pip install --no-deps --ignore-requires-python every-eval-ever==0.3.0: it declares Python 3.12 and runs on 3.11"
    core = pytest.importorskip("every_eval_ever.validator.validation_core", reason=how)
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
    assert len(list((tmp_path / "report" / "every_eval_ever").rglob("*.json"))) == 6
    assert "--eee our-lab" in (tmp_path / "report" / "report.html").read_text()
    with pytest.raises(UserError, match="is not a name"):
        writer.write([results], tmp_path / "other", writer.Options(draws=100, traces=0, organization="our lab/x"))
    assert not (tmp_path / "other").exists()
