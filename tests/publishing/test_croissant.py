"""The dataset's Croissant description names its files and columns as they are; mlcroissant reads rows by it."""

import json
from pathlib import Path

import mlcroissant
import pyarrow.parquet as pq
import pytest
import stage_outputs

from agentmerge_hub.dataset.card.croissant import FILE
from agentmerge_hub.records import SAMPLE_SCHEMA


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stage_outputs.dataset(tmp_path_factory.mktemp("croissant") / "traces")


def test_every_column_of_every_config_is_described(folder: Path) -> None:
    described = json.loads((folder / FILE).read_text())
    assert "{%" not in (folder / FILE).read_text() and described["inLanguage"] == "en"
    assert described["license"] == ["https://www.apache.org/licenses/LICENSE-2.0"]
    for records in described["recordSet"]:
        files = next(d for d in described["distribution"] if d["@id"] == f"{records['@id']}-files")
        paths = sorted(folder.glob(files["includes"]))
        assert len(paths) == 3
        columns = pq.read_schema(paths[0]).names
        assert [field["name"] for field in records["field"]] == ["split", *columns] == ["split", *SAMPLE_SCHEMA.names]
        turns = next(field for field in records["field"] if field["name"] == "prompt")
        assert [(part["name"], part["source"]["transform"]["jsonPath"]) for part in turns["subField"]] == [
            ("role", "[*].role"),
            ("content", "[*].content"),
        ]


REQUIRED = {"@context", "@type", "conformsTo", "name", "description", "license", "url", "creator", "datePublished"}
RECOMMENDED = {"keywords", "publisher", "version", "inLanguage", "citeAs", "isLiveDataset"}


def test_mlcroissant_reads_rows_from_what_was_downloaded(run, folder: Path, tmp_path: Path) -> None:
    run("push", "dataset", folder, "--repo-id", "acme/traces", "--yes")
    run("download", "acme/traces", "-o", "copy")
    described = json.loads((tmp_path / "copy" / FILE).read_text())
    assert not (REQUIRED | RECOMMENDED) - set(described) and described["version"] == "1.0.0"
    assert described["url"].endswith("/datasets/acme/traces") and described["creator"]["url"].endswith("/acme")
    assert described["citeAs"].startswith("@inproceedings") and len(described["rai:dataLimitations"]) == 6
    dataset = mlcroissant.Dataset(jsonld=str(tmp_path / "copy" / FILE))
    assert not dataset.metadata.ctx.issues.errors and not dataset.metadata.ctx.issues.warnings
    rows = list(dataset.records("cot"))
    assert len(rows) == 6 and {row["cot/split"] for row in rows} == {b"train", b"inter_task", b"cross_task"}
    assert rows[0]["cot/completion"][0]["cot/completion/content"] == b"<action>click('a0')</action>"
