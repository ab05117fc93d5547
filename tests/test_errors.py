"""Operating system errors become one sentence, whichever library meets them."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from agentmerge_hub.errors import UserError, os_error_sentence, os_errors_as_sentences

LIMITED = """
import resource, sys
from pathlib import Path
import numpy, pyarrow, pyarrow.parquet, safetensors.numpy
from agentmerge_hub import errors
from agentmerge_hub.files import output_folder
out, how = Path(sys.argv[1]), sys.argv[2]
data = numpy.random.default_rng(0).random(200_000)
def torch_save(file):
    import torch
    torch.save(torch.tensor(data), file)
write = {
    "python": lambda file: file.write_bytes(data.tobytes()),
    "pyarrow": lambda file: pyarrow.parquet.write_table(pyarrow.table({"x": data}), file),
    "safetensors": lambda file: safetensors.numpy.save_file({"x": data}, file),
    "numpy": lambda file: numpy.save(file.open("wb"), data),
    "torch": torch_save,
}[how]
write(out.with_name("warm"))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with output_folder.new_folder(out, "build") as folder:
        write(folder / "data")
except errors.UserError as error:
    print(error)
"""


@pytest.mark.parametrize("how", ["python", "pyarrow", "safetensors", "numpy", "torch"])
def test_a_file_size_limit_is_one_sentence_and_leaves_what_was_there(tmp_path: Path, how: str) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "out"), how], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path}/out: ") and "file size limit" in done.stdout
    assert done.stdout.count("\n") == 1 and os.listdir(tmp_path) == ["warm"]  # noqa: PTH208


def test_torchs_error_at_the_end_of_a_full_disk_is_one_sentence() -> None:
    """As torch.save reports it if the last bytes do not fit."""
    with pytest.raises(UserError, match="could not be written whole: the disk is full"), os_errors_as_sentences():
        raise RuntimeError("basic_ios::clear: iostream error")


def test_too_many_open_files_are_one_sentence(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(UserError, match="x: too many files are open in this process"), os_errors_as_sentences():
            (tmp_path / "x").write_text("")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_name_that_is_not_utf_8_is_one_sentence(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    with pytest.raises(UserError, match=r"^the name `caf\\xe9\.txt` is not UTF-8: rename"), os_errors_as_sentences():
        (tmp_path / "list").write_text(f"the files are {name} and others", encoding="utf-8")
    with pytest.raises(UserError, match=r"caf\\xe9\.txt: no such file or folder"), os_errors_as_sentences():
        (tmp_path / name).read_bytes()


def test_other_errors_stay_as_they_are() -> None:
    assert os_error_sentence(ValueError("a bug")) is None
    with pytest.raises(KeyError), os_errors_as_sentences():
        raise KeyError("a bug")
    assert (
        os_error_sentence(OSError("nobody/nothing is no model\nidentifier")) == "nobody/nothing is no model identifier"
    )
    assert os_error_sentence(FileNotFoundError("data.parquet")) == "data.parquet: no such file or folder"
