"""Outputs appear whole or not at all, and replace nothing but their own earlier output."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_manifest import make

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files import locks, output_folder
from agentmerge_hub.files.atomic_write import write_text


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for place in (out, tmp_path / "new/deeper/out"):
        with pytest.raises(RuntimeError), output_folder.new_folder(place, "build") as folder:
            (folder / "half.txt").write_text("half")
            raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    make(out)
    with pytest.raises(RuntimeError), output_folder.new_folder(out, "build"):
        raise RuntimeError
    assert (out / "data.txt").read_text() == "rows"
    make(out, "new rows")
    assert (out / "data.txt").read_text() == "new rows" and list(tmp_path.iterdir()) == [out]


def test_another_output_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError, match="choose another path"), output_folder.new_folder(path, "build"):
            pass
    out = make(tmp_path / "merged", stage="merge")
    with pytest.raises(UserError, match="`build` did not make it"):
        make(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merged", "mine.txt"]


def test_what_a_user_put_into_an_output_is_not_deleted_with_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with output_folder.new_folder(out, "build") as folder:
        (folder / "README.md").write_text("card")
        manifest.write(folder, "build")
    (out / ".cache").mkdir()
    (out / ".cache/lock").write_text("")
    (out / "model.gguf").write_text("made from the weights")
    output_folder.check_replaceable(out, "build")
    (out / "NOTES.txt").write_text("mine")
    with pytest.raises(UserError, match=r"NOTES\.txt is not of the earlier `build`"):
        output_folder.check_replaceable(out, "build")
    (out / "NOTES.txt").unlink()
    (out / "README.md").write_text("card, edited")
    with (
        pytest.raises(UserError, match=r"README\.md was edited since `build` wrote it"),
        output_folder.new_folder(out, "build"),
    ):
        pass
    assert (out / "README.md").read_text() == "card, edited"


def test_an_output_is_never_made_over_inside_or_around_an_input(tmp_path: Path) -> None:
    agent = make(tmp_path / "runs/agent", stage="merge")
    (tmp_path / "link").symlink_to(agent)
    for out in (agent, tmp_path / "link", agent / "merged", tmp_path / "runs", tmp_path / "runs/x/../agent"):
        for given in (agent, tmp_path / "link", agent / "data.txt"):
            if given.name == "data.txt" and out == agent / "merged":
                continue  # beside a file that is read
            with (
                pytest.raises(UserError, match=r"the output .* (is|is inside|holds) the input .*: choose another path"),
                output_folder.new_folder(out, "merge", [given]),
            ):
                pass
    assert manifest.verify(agent) == []
    with output_folder.new_folder(tmp_path / "runs/agent-2", "merge", [agent]) as folder:
        manifest.write(folder, "merge")


def test_a_symbolic_link_as_output_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk/out")
    for text in ("first", "second"):
        make(tmp_path / "out", text)
        assert (tmp_path / "disk/out/data.txt").read_text() == text and (tmp_path / "out").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["out"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="form a loop"):
        make(tmp_path / "loop")


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        ("file/out", "file: a part of the path is a file"),
        ("file/new/out", "file/new: a part of the path is a file"),
        (os.fsdecode(b"\xff"), r"is not UTF-8: rename the file"),
        ("n" * 300, "the name is too long"),
        ("n" * 240, "the name is too long"),
        ("/proc/out", "^/proc cannot hold new files: choose another path$"),
        ("/proc/new/out", "^/proc cannot hold new files: choose another path$"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, out: str, sentence: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=sentence):
        make(tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_parent_without_permission_is_one_sentence(tmp_path: Path) -> None:
    user = os.geteuid()
    (tmp_path / "theirs").mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(UserError, match="permission denied: choose another path"):
            make(tmp_path / "theirs/out")
    finally:
        os.seteuid(user)
    assert not list((tmp_path / "theirs").iterdir())


@pytest.mark.parametrize("name", ["out", "new/out"])
def test_a_place_without_permission_or_on_a_read_only_disk_is_named(
    tmp_path: Path, small_disk: Callable[..., Path], permissions_obeyed: None, name: str
) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match=rf"^{tmp_path}: permission denied: choose another path or change"):
        make(tmp_path / name)
    tmp_path.chmod(0o755)
    disk = small_disk(2**20)
    if subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True).returncode:
        pytest.skip("no mount can be made read-only here")
    with pytest.raises(UserError, match=rf"^{disk}: the disk is read-only: choose another path$"):
        make(disk / name)


def test_errors_name_what_is_written_and_not_the_temporary_files(tmp_path: Path, permissions_obeyed: None) -> None:
    plan, out = tmp_path / "plan.yml", tmp_path / "out"
    with pytest.raises(UserError, match=rf"^{out}/data/a: no such file"), output_folder.new_folder(out, "build") as new:
        (new / "data/a").write_text("")
    tmp_path.chmod(0o555)
    denied = rf"^{plan}: permission denied: choose another path or change its permissions$"
    with pytest.raises(UserError, match=denied), os_errors_as_sentences():
        write_text(plan, "")
    with pytest.raises(UserError, match=denied), locks.lock_file(tmp_path / ".plan.yml.lock", plan, "tune"):
        pass
    tmp_path.chmod(0o755)


KILLED = """
import os, signal, sys
from pathlib import Path
from agentmerge_hub import manifest
from agentmerge_hub.files import output_folder
out, step = Path(sys.argv[1]), sys.argv[2]
output_folder._exchange = (lambda *_: False) if sys.argv[3] == "two renames" else output_folder._exchange
def kill(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
if step == "delete": output_folder.shutil.rmtree = kill
if step == "between":
    real = Path.rename
    def rename(self, target):
        real(self, target)
        if str(target).endswith(".old"): kill()
    Path.rename = rename
with output_folder.new_folder(out, "build") as folder:
    (folder / "data.txt").write_text("new")
    if step == "write": kill()
    manifest.write(folder, "build")
"""


@pytest.mark.parametrize("how", ["exchange", "two renames"])
@pytest.mark.parametrize("step", ["write", "between", "delete"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_the_next_run_cleans_up(
    tmp_path: Path, step: str, how: str
) -> None:
    if (step, how) == ("between", "exchange"):
        return  # one step: nothing is between
    out = make(tmp_path / "out", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), step, how], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    with pytest.raises(RuntimeError), output_folder.new_folder(out, "build"):
        raise RuntimeError  # a next run, which fails
    assert (out / "data.txt").read_text() == ("new" if step == "delete" else "old")
    assert manifest.verify(out) == [] and list(tmp_path.iterdir()) == [out]
