"""mergekit is imported once and runs in forks, in the folder and with the exit status and output of a command."""

from pathlib import Path

from agentmerge_hub.merging.engine import mergekit_process


def test_each_run_is_a_fork_in_the_given_folder(tmp_path: Path) -> None:
    code, output = mergekit_process.run_command(["gone.yml", "out"], tmp_path)
    assert code == 1 and "No such file or directory: 'gone.yml'" in output
    server = mergekit_process._server
    other = tmp_path / "other"
    other.mkdir()
    (other / "gone.yml").write_text("merge_method: linear")
    code, output = mergekit_process.run_command(["gone.yml", "out"], other)
    assert code == 1 and "Exactly one of 'models'" in output
    assert mergekit_process.run_command(["--help"], tmp_path)[0] == 0
    assert mergekit_process._server is server
