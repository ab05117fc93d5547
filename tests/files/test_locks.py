"""One writer at a time, between real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import locks, output_folder

WRITER = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from agentmerge_hub import manifest
from agentmerge_hub.files import locks, output_folder
out = Path(sys.argv[1])
if sys.argv[2] == "in place":
    with locks.lock_folder(out, "train"):
        (out / "run.json").write_text("half")
        print("writing", flush=True); sys.stdin.readline()
else:
    with output_folder.new_folder(out, "train") as folder:
        print("writing", flush=True); sys.stdin.readline()
        (folder / "data.txt").write_text("first")
        manifest.write(folder, "train")
"""


def writer(out: Path, how: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(out), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    return process


def write(out: Path, how: str) -> None:
    if how == "in place":
        with locks.lock_folder(out, "train"):
            (out / "data.txt").write_text("second")
    else:
        with output_folder.new_folder(out, "train") as folder:
            (folder / "data.txt").write_text("second")
            manifest.write(folder, "train")


@pytest.mark.parametrize("how", ["in place", "beside"])
def test_a_second_writer_is_refused_and_a_dead_one_stops_nobody(tmp_path: Path, how: str) -> None:
    out = tmp_path / "out"
    first = writer(out, how)
    with pytest.raises(UserError, match=rf"out is being written by `train` on \S+ \(process {first.pid}, since 2.*\)"):
        write(out, how)
    first.communicate("\n")
    assert first.returncode == 0
    write(out, how)
    killed = writer(out, how)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    write(out, how)
    assert (out / "data.txt").read_text() == "second"
    assert list(tmp_path.iterdir()) == [out] and not (out / locks.NAME).exists()


def test_a_writers_forked_children_do_not_keep_its_lock(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from agentmerge_hub.files import locks\n"
        "with locks.lock_folder(Path(sys.argv[1]), 'train'):\n"
        "    child = os.fork()\n"
        "    if not child: time.sleep(60); os._exit(0)\n"
        "    print(child, flush=True); os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.wait()
    try:
        write(tmp_path / "out", "in place")
    finally:
        os.kill(child, signal.SIGKILL)


def test_many_writers_one_after_the_other_never_write_together(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from agentmerge_hub import errors; from agentmerge_hub.files import locks\n"
        "folder, count = Path(sys.argv[1]), 0\n"
        "while count < 20:\n"
        "    try:\n"
        "        with locks.lock_folder(folder, 'train'):\n"
        "            (folder / 'mark').touch(exist_ok=False); (folder / 'mark').unlink(); count += 1\n"
        "    except errors.UserError: pass\n"
    )
    several = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE) for _ in range(3)]
    for process in several:
        _, said = process.communicate()
        assert process.returncode == 0, said.decode()


def test_a_folder_with_only_what_a_killed_writer_left_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / locks.NAME).write_text("{}")
    (tmp_path / ".recipe.yaml.0123abcd.partial").write_text("half")
    assert locks.is_empty(tmp_path)
    (tmp_path / "recipe.yaml").write_text("name: mine")
    assert not locks.is_empty(tmp_path)


def test_what_a_killed_writer_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".run.json.0123abcd.partial").write_text("half")
    (tmp_path / ".theirs.partial").write_text("of another program")
    (tmp_path / ".merged.0123abcd.partial").mkdir()
    with locks.lock_folder(tmp_path, "train"):
        assert not locks.is_empty(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".merged.0123abcd.partial", ".theirs.partial"]


def test_a_refused_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locks.lock_folder(tmp_path / "a/run", "train"):
        assert locks.is_empty(tmp_path / "a/run")
        raise RuntimeError
    assert not (tmp_path / "a/run").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file: it already exists"), locks.lock_folder(tmp_path / "file", "train"):
        pass
