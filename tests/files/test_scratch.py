"""Temporary folders of killed processes are removed by the next one; those in use are not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentmerge_hub.files.scratch import scratch_folder

USER = (
    "import sys; from agentmerge_hub.files.scratch import scratch_folder\n"
    "with scratch_folder('test') as folder:\n"
    "    (folder / 'profile').write_text('x'); print(folder, flush=True); sys.stdin.readline()\n"
)


def start(root: Path) -> tuple[subprocess.Popen, Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", USER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(root)},
    )
    return process, Path(process.stdout.readline().strip())


def test_a_killed_processes_folder_is_removed_and_a_living_ones_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "agentmerge-test-mine").mkdir()
    living, used = start(tmp_path)
    killed, left = start(tmp_path)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    with scratch_folder("test") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not left.exists() and (used / "profile").is_file()
    living.communicate("\n")
    assert [path.name for path in tmp_path.iterdir()] == ["agentmerge-test-mine"]


def test_processes_that_make_and_remove_folders_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    use = (
        "from agentmerge_hub.files.scratch import scratch_folder\n"
        "for n in range(100):\n"
        "    with scratch_folder('test') as folder:\n"
        "        (folder / 'x').write_text('x')\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    processes = [subprocess.Popen([sys.executable, "-c", use], env=environment) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert not list(tmp_path.iterdir())
