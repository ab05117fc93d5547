"""Whole outputs and lineage."""

from pathlib import Path

import pytest

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError


def make(out: Path, text: str = "rows", stage: str = "build", **more) -> Path:
    with manifest.new_folder(out, stage) as folder:
        (folder / "data.txt").write_text(text)
        manifest.write(folder, stage, **more)
    return out


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeError), manifest.new_folder(out, "build") as folder:
        (folder / "half.txt").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    make(out)
    assert manifest.verify(out) == []
    with pytest.raises(RuntimeError), manifest.new_folder(out, "build"):
        raise RuntimeError
    assert (out / "data.txt").read_text() == "rows"
    make(out, "new rows")
    assert (out / "data.txt").read_text() == "new rows" and len(list(tmp_path.iterdir())) == 1


def test_what_we_did_not_make_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="choose another place"), manifest.new_folder(tmp_path, "build"):
        pass
    out = make(tmp_path / "merged", stage="merge")
    with pytest.raises(UserError, match="`build` did not make it"):
        make(out)


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".out.999999999.partial"
    left.mkdir()
    make(tmp_path / "out")
    assert not left.exists()


def test_verify_names_each_difference(tmp_path: Path) -> None:
    out = make(tmp_path / "out")
    (out / "data.txt").write_text("other")
    (out / "more.txt").write_text("more")
    assert manifest.verify(out) == [
        "more.txt is not in the manifest",
        "data.txt was changed since it was written",
    ]


def test_lineage_reaches_through_the_stages(tmp_path: Path) -> None:
    dataset = make(tmp_path / "dataset")
    run = make(tmp_path / "run", stage="train", inputs={"dataset": dataset})
    merged = manifest.read(make(tmp_path / "merged", stage="merge", inputs={"agent": run}))
    assert merged["inputs"]["agent"]["inputs"]["dataset"]["sha256"] == manifest.folder_hash(dataset)


def test_an_unfinished_folder_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not the finished output of a stage"):
        manifest.read(tmp_path)
