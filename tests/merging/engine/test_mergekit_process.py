"""mergekit is imported once and runs in forks, in the folder and with the exit status and output of a command."""

from pathlib import Path

import pytest

from agentmerge_hub.merging.engine import mergekit_process


def test_each_run_is_a_fork_in_the_present_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = mergekit_process.run_command(["gone.yml", "out"])
    assert code == 1 and "No such file or directory: 'gone.yml'" in output
    server = mergekit_process._server
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    Path("gone.yml").write_text("merge_method: linear")
    code, output = mergekit_process.run_command(["gone.yml", "out"])
    assert code == 1 and "Exactly one of 'models'" in output
    assert mergekit_process.run_command(["--help"])[0] == 0
    assert mergekit_process._server is server
