"""`agentmerge watch` shows the state of a study from its files."""

import io
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from agentmerge_hub import manifest
from agentmerge_hub.agents.command import watch
from agentmerge_hub.agents.status import live_view
from agentmerge_hub.agents.status.run_status import list_runs
from agentmerge_hub.agents.status.study_info import NAME, RECIPE_NAME, count_removed, read_info
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.locks import lock_folder


def write_run(study: Path, number: int, **summary: object) -> None:
    folder = study / "traces" / "study" / f"run{number}"
    folder.mkdir(parents=True)
    (folder / "exp_args.pkl").write_bytes(
        pickle.dumps({"exp_id": str(number), "agent_args": {"agent_name": "gpt-basic"}})
    )
    if summary:
        tokens = {"stats.cum_input_tokens": 1_000_000, "stats.cum_output_tokens": 100_000}
        (folder / "summary_info.json").write_text(json.dumps({"truncated": True} | tokens | summary))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    prices = {"gpt-basic": {"prompt": 0.5, "completion": 2.0}}
    (tmp_path / NAME).write_text(json.dumps({"verb": "evaluate", "episodes": 6, "prices": prices}))
    write_run(tmp_path, 0, cum_reward=1.0)
    write_run(tmp_path, 1, cum_reward=0.0, **{"stats.cum_busted_retry": 1})
    write_run(tmp_path, 2, cum_reward=0.0, agentmerge_error_class="hang")
    write_run(tmp_path, 3, err_msg="Exception uncaught by agent or environment in task t.\nEndpointError:\nHTTP 500")
    write_run(tmp_path, 4)
    return tmp_path


def show(study: Path) -> str:
    result = CliRunner().invoke(watch, [str(study)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_study_that_was_interrupted(study: Path) -> None:
    output = show(study)
    assert "4 of 6 (1 crashed, 2 left)" in output and "1 of 3 (33.3%)" in output
    assert "parse 1" in output and "hang 1" in output and "EndpointError 1" in output
    assert "4,000,000 prompt, 400,000 completion" in output and "$2.80" in output
    assert output.rstrip().endswith(
        "done 3 · crashed 1 · missing 2 · not running: run the same command again to continue"
    )


def test_crashed_runs_that_are_run_again_were_paid_for(study: Path) -> None:
    crashed = next(run for run in list_runs(study / "traces").values() if run.status == "crashed")
    count_removed([crashed], study)
    shutil.rmtree(crashed.folder)
    count_removed([crashed], study)  # it crashed a second time
    assert read_info(study).removed_tokens == 2 * 1_100_000
    output = show(study)
    assert "5,000,000 prompt, 500,000 completion" in output and "$3.50" in output


def test_a_running_and_an_ended_study(study: Path) -> None:
    for path in study.rglob("summary_info.json"):  # one episode ends every 10 minutes
        number = int(path.parent.name.removeprefix("run"))
        os.utime(path, (600 * number, 600 * number))
    with lock_folder(study, "evaluate"):
        output = show(study)
        assert "│ time left │ about 20 min" in output
        assert output.rstrip().endswith("done 3 · crashed 1 · missing 2 · running")
    manifest.write(study, "evaluate", counts={"done": 3, "crashed": 1, "missing": 2})
    assert show(study).rstrip().endswith("done 3 · crashed 1 · missing 2")


def test_a_terminal_shows_the_state_until_ctrl_c_which_leaves_the_study_running(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def sleep(seconds: float) -> None:
        shown.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(live_view.time, "sleep", sleep)
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    with lock_folder(study, "evaluate"):
        live_view.watch(study, seconds=3, console=terminal)
    output = terminal.file.getvalue()
    assert shown == [3] and output.rstrip().endswith("done 3 · crashed 1 · missing 2 · running")


def test_what_is_no_study_is_one_sentence(study: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    def sentence(folder: Path) -> str:
        with pytest.raises(UserError) as error:
            CliRunner().invoke(watch, [str(folder)], catch_exceptions=False)
        return str(error.value)

    empty = tmp_path_factory.mktemp("empty")
    assert sentence(empty) == f"there is no study in {empty}: name the output folder of collect or evaluate"
    assert sentence(study / NAME).startswith("there is no study in")
    (study / NAME).write_text("{}")
    assert f"{NAME} cannot be read: another version wrote this study; run its command again" in sentence(study)
    (study / NAME).unlink()
    (study / RECIPE_NAME).write_text("name: a\n")
    assert f"{study} has no {NAME}: another version wrote this study" in sentence(study)
    assert CliRunner().invoke(watch, [str(study), "--seconds", "0"]).exit_code == 2
