"""A damaged Parquet file of a dataset is one sentence that names it, in every verb that reads a dataset."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dataset_files import run

from agentmerge_hub.errors import UserError, os_errors_as_sentences


def readers(folder: Path, out: Path, tokenizer: Path) -> list[tuple[object, ...]]:
    """The arguments of every verb that reads the rows of a dataset."""
    return [
        ("inspect", folder),
        ("inspect", folder, "--row", "0"),
        ("export", folder, "-o", out, "--format", "atif"),
        ("build", folder, "-o", out, "--tokenizer", tokenizer),
        ("demo-page", folder, "-o", out),
        ("review", folder, "--list"),
    ]


@pytest.mark.parametrize("damage", ["no footer", "damaged pages"])
def test_a_damaged_file_is_named(built: Path, tmp_path: Path, tokenizer_folder: Path, damage: str) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(built, folder)
    for path in folder.glob("data/*/*.parquet"):
        content = path.read_bytes()
        half = len(content) // 2
        path.write_bytes(content[:1000] if damage == "no footer" else b"PAR1" + b"\xff" * (half - 4) + content[half:])
    for arguments in readers(folder, tmp_path / "out", tokenizer_folder):
        with pytest.raises(UserError, match=r"\.parquet'? is not readable Parquet \(.*\): restore it"):
            run(*arguments)
        assert not (tmp_path / "out").exists()


def test_a_file_without_permission_is_named(
    built: Path, tmp_path: Path, tokenizer_folder: Path, permissions_obeyed: None
) -> None:
    folder = tmp_path / "closed"
    shutil.copytree(built, folder)
    for path in folder.glob("data/*/*.parquet"):
        path.chmod(0)
    for arguments in readers(folder, tmp_path / "out", tokenizer_folder):
        with (
            pytest.raises(UserError, match=rf"^{folder}/data/\w+/\w+-00000-of-00001\.parquet: permission denied: "),
            os_errors_as_sentences(),
        ):
            run(*arguments)
    for config in ("all", "episodes"):
        (folder / "data" / config).chmod(0)
    for arguments in (("inspect", folder), ("build", folder, "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)):
        with pytest.raises(UserError, match=rf"^{folder}/data/\w+: permission denied: "), os_errors_as_sentences():
            run(*arguments)
    for config in ("all", "episodes"):
        (folder / "data" / config).chmod(0o755)


def test_a_dataset_without_rows_is_refused_before_the_work(built: Path, tmp_path: Path, tokenizer_folder: Path) -> None:
    folder = tmp_path / "empty"
    shutil.copytree(built, folder)
    for path in folder.glob("data/*/*.parquet"):
        pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(UserError, match="data/all has no rows"):
        run("inspect", folder)
    with pytest.raises(UserError, match=r"^no episodes in "):
        run("build", folder, "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
