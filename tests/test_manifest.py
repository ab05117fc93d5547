"""The manifest: what was read and written, checked against the files."""

import json
from pathlib import Path

import pytest

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash, output_folder


def make(out: Path, text: str = "rows", stage: str = "build", **more) -> Path:
    with output_folder.new_folder(out, stage) as folder:
        (folder / "data.txt").write_text(text)
        manifest.write(folder, stage, **more)
    return out


def test_verify_names_each_difference(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    assert manifest.verify(out) == []
    (out / "data.txt").write_text("other")
    (out / "more.txt").write_text("more")
    assert manifest.verify(out) == [
        "more.txt is not in the manifest",
        "data.txt was changed since it was written",
    ]


def test_provenance_goes_back_through_the_stages(tmp_path: Path) -> None:
    dataset = make(tmp_path / "dataset")
    run = make(tmp_path / "run", stage="train", inputs={"dataset": dataset})
    merged = manifest.read(make(tmp_path / "merged", stage="merge", inputs={"agent": run}))
    assert merged["inputs"]["agent"]["inputs"]["dataset"]["sha256"] == content_hash.folder_hash(dataset)
    assert "changed" not in merged["inputs"]["agent"]


def test_an_input_is_hashed_from_its_files_and_not_from_its_manifest(tmp_path: Path) -> None:
    run = make(tmp_path / "run", stage="train")
    first = manifest.read(make(tmp_path / "merged", stage="merge", inputs={"agent": run}))["inputs"]["agent"]
    (run / "data.txt").write_text("rewr")  # of the same length
    second = manifest.read(make(tmp_path / "merged", stage="merge", inputs={"agent": run}))["inputs"]["agent"]
    assert second["sha256"] != first["sha256"] and second["changed"] == ["data.txt"]


def test_hashes_taken_at_reading_are_recorded_though_the_input_changed_since(tmp_path: Path) -> None:
    run = make(tmp_path / "run", stage="train")
    taken = content_hash.file_hashes(run)
    (run / "data.txt").write_text("changed while it was merged")
    merged = make(tmp_path / "merged", stage="merge", inputs={"agent": run}, known={run: taken})
    assert manifest.read(merged)["inputs"]["agent"]["sha256"] == content_hash.combined_hash(taken)


def test_another_programs_manifest_in_an_input_is_no_provenance(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/manifest.json").write_text('{"name": "a web app"}')
    merged = manifest.read(make(tmp_path / "merged", stage="merge", inputs={"agent": tmp_path / "model"}))
    assert sorted(merged["inputs"]["agent"]) == ["name", "sha256"]


GOOD = {"stage": "build", "inputs": {}, "config": {}, "counts": {}, "outputs": {}, "run": {"seconds": None}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([1, 2], "not a JSON object"),
        (None, "not a JSON object"),
        ({**GOOD, "stage": 3}, "`stage`"),
        ({**GOOD, "run": {}}, "`seconds`"),
        ({**GOOD, "inputs": []}, "`inputs`"),
        ({**GOOD, "outputs": {"data.txt": "abc"}}, "'data.txt' has no `sha256`"),
        ({**GOOD, "outputs": {"../data.txt": {"sha256": "0"}}}, "outside of the folder"),
        ({**GOOD, "outputs": {"/etc/passwd": {"sha256": "0"}}}, "outside of the folder"),
        ({**GOOD, "inputs": {"agent": {}}}, "'agent' has no `sha256`"),
        ({**GOOD, "inputs": {"agent": {"sha256": "0", "inputs": [1]}}}, "are not an object"),
        ({**GOOD, "inputs": {"agent": {"sha256": "0", "inputs": {"data": {}}}}}, "'data' has no `sha256`"),
        ({**GOOD, "versions": []}, "`versions` is not an object"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_in_a_sentence(tmp_path: Path, content: object, problem: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"is not a manifest of this package: .*" + problem.replace("'", ".")) as caught:
        manifest.read(tmp_path)
    assert str(caught.value).endswith(": restore it, or choose another folder")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\ufeff{}"])
def test_a_manifest_that_is_no_json_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot be read as JSON \(.*\): restore it, or choose another folder$"):
        manifest.read(tmp_path)


def test_a_manifest_without_permission_is_refused_in_a_sentence(tmp_path: Path, permissions_obeyed: None) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "manifest.json").chmod(0)
    with pytest.raises(UserError, match=r"manifest\.json cannot be read \(Permission denied\): change its permissions"):
        manifest.read(tmp_path)


def test_an_unfinished_folder_is_refused(tmp_path: Path) -> None:
    for folder, says in (
        (tmp_path, "not the finished output of a stage"),
        (tmp_path / "missing", "there is no folder .*/missing: "),
        (Path(__file__), "not the finished output of a stage"),
    ):
        with pytest.raises(UserError, match=says):
            manifest.read(folder)
