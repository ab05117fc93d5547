"""Temporary files of killed runs are removed by the next run; those of a running one are kept."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agentmerge_hub.agents.backends.scratch import scratch_folder

KILLED = """
import os, tempfile
tempfile.tempdir = {root!r}
from agentmerge_hub.agents.backends.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "playwright_chromiumdev_profile-x").mkdir()
    print(folder, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_leftovers_of_a_killed_run_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    child = subprocess.run([sys.executable, "-c", KILLED.format(root=str(tmp_path))], stdout=subprocess.PIPE, text=True)
    left = Path(child.stdout.strip())
    assert child.returncode == -9 and any(left.iterdir())
    with scratch_folder() as running:
        assert not left.exists()
        (running / "profile").mkdir()
        with scratch_folder() as other:
            assert other != running and (running / "profile").is_dir()
    assert list(tmp_path.iterdir()) == []
