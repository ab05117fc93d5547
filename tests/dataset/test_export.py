"""Episodes of a dataset are exported to other formats, valid there, and read back as they were."""

import json
from dataclasses import replace
from pathlib import Path

import atif
import pytest
from click.testing import CliRunner
from dataset_files import rows, run
from export_schemas import ApiAction, Trajectory, check_session
from made_traces import write_episode

from agentmerge_hub.cli import agentmerge
from agentmerge_hub.dataset.export import adp, session_trace
from agentmerge_hub.dataset.export import atif as to_atif
from agentmerge_hub.dataset.export.write import FORMATS, export
from agentmerge_hub.dataset.reload import find_inputs, read_input
from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import ADVANCED
from agentmerge_hub.records import Episode


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """Three episodes: with a recorded prompt, rendered, and with several calls and HTML."""
    folder = tmp_path_factory.mktemp("export")
    page = {"focused_element_bid": "12", "pruned_html": '<b bid="11">OK</b>'}
    write_episode(folder / "t", "miniwob.click-dialog", 0, flags=ADVANCED)
    write_episode(folder / "t", "miniwob.click-dialog", 1, flags=None)
    write_episode(
        folder / "t", "miniwob.click-option", 2, flags=None, action="click('12')\nfill('11', 'é \"x\"')", obs=page
    )
    run("build", folder / "t", "-o", folder / "d", "--tokenizer", tokenizer_folder, "--workers", 1)
    return folder / "d"


def episodes(root: Path) -> list[Episode]:
    """Episodes without what depends on where they are."""
    read = [read_input(found) for found in find_inputs([root])]
    return sorted((replace(one, episode_id="", source="") for one in read), key=lambda one: (one.task, one.seed))


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_is_read_back_as_it_was(dataset: Path, tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(agentmerge, ["export", str(dataset), "-o", str(tmp_path / "out"), "--format", name])
    assert done.exit_code == 0 and done.output.startswith("3 episodes written")
    there, back = episodes(dataset), episodes(tmp_path / "out")
    assert len(back) == 3 and back == there


def test_a_single_file_of_an_export_is_built(dataset: Path, tmp_path: Path, tokenizer_folder: Path) -> None:
    export(dataset, tmp_path / "out", "session-trace")
    file = next((tmp_path / "out").glob("*.jsonl"))
    run("build", file, "-o", tmp_path / "one", "--tokenizer", tokenizer_folder, "--workers", 1)
    assert len({row["episode_id"] for row in rows(tmp_path / "one", "all")}) == 1
    (tmp_path / "new.json").write_text('{"schema_version": "ATIF-v2.0", "steps": []}')
    with pytest.raises(
        UserError, match=r"the rule unreadable dropped most .*e.g. the document is of ATIF-v2.0, which is not known"
    ):
        run("build", tmp_path / "new.json", "-o", tmp_path / "two", "--tokenizer", tokenizer_folder, "--workers", 1)


def test_a_dataset_of_an_export_has_the_rows_of_the_dataset_of_the_traces(
    dataset: Path, tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "cache"))
    export(dataset, tmp_path / "exported", "adp")
    run("build", tmp_path / "exported", "-o", tmp_path / "again", "--tokenizer", tokenizer_folder)
    for config in ("all", "cot", "no_cot", "episodes"):
        there, again = (
            sorted((row | {"sample_id": "", "episode_id": ""} for row in rows(folder, config)), key=json.dumps)
            for folder in (dataset, tmp_path / "again")
        )
        assert there == again and there


def test_an_export_to_atif_is_valid_there(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "atif")
    for path in sorted((tmp_path / "out").glob("[0-9a-f]*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        checked = atif.Trajectory.model_validate(document)
        assert checked.to_json_dict() and [step.step_id for step in checked.steps] == list(
            range(1, len(checked.steps) + 1)
        )
        assert document["steps"][2]["tool_calls"][0]["function_name"] == "click"


def test_an_export_to_the_agent_data_protocol_is_valid_there(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "adp")
    for path in (tmp_path / "out").glob("*.jsonl"):
        (line,) = path.read_text(encoding="utf-8").splitlines()
        checked = Trajectory.model_validate_json(line)
        action = next(item for item in checked.content if isinstance(item, ApiAction))
        assert checked.schema_version == "1.2.0" and json.loads(action.kwargs["bid"]).isdigit()


def test_a_session_trace_has_the_lines_that_the_viewer_reads(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "session-trace")
    for path in (tmp_path / "out").glob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        messages = check_session(lines)
        assert lines[0]["harness"] == "agentmerge" and lines[0]["reward"] == 1.0
        assert [message.role for message in messages] == ["user", "user", "assistant"]
        assert messages[-1].toolCalls[0].function.name == "click"


def test_steps_without_a_call_and_of_several_calls_are_valid_in_every_format(dataset: Path, tmp_path: Path) -> None:
    (episode, *_) = (read_input(found) for found in find_inputs([dataset]))
    (step,) = episode.steps
    executed = ("click('11')\nfill('11', 'x')", "page.reload()", "", "scroll(0, 1e999)")
    steps = [
        replace(step, index=n, executed=text, action=text if n in (0, 3) else None, thought=None)
        for n, text in enumerate(executed)
    ]
    made = replace(episode, steps=tuple(steps))
    Trajectory.model_validate(adp.document(made))
    atif.Trajectory.model_validate(to_atif.document(made))
    assert len(check_session(session_trace.lines(made))) == 2 + 3 + 2 + 2
    for name, (ending, text_of) in FORMATS.items():
        (tmp_path / name).mkdir()
        for document in text_of(made).splitlines() if ending == ".jsonl" else [text_of(made)]:
            json.loads(document, parse_constant=pytest.fail)
        (tmp_path / name / f"x{ending}").write_text(text_of(made), encoding="utf-8")
        assert episodes(tmp_path / name) == [replace(made, episode_id="", source="")]


def test_episodes_without_an_outcome_are_taken_if_that_is_said(
    dataset: Path, tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "cache"))
    export(dataset, tmp_path / "ours", "adp")
    (tmp_path / "foreign").mkdir()
    for path in (tmp_path / "ours").glob("*.jsonl"):
        document = json.loads(path.read_text(encoding="utf-8")) | {"details": {"source": "nnetnav"}}
        (tmp_path / "foreign" / path.name).write_text(json.dumps(document), encoding="utf-8")
    common = ("--tokenizer", tokenizer_folder, "--workers", 1, "--inter-share", 0)
    with pytest.raises(UserError, match=r"the rule no_outcome dropped most.*--unscored keeps them"):
        run("build", tmp_path / "foreign", "-o", tmp_path / "out", *common)
    run("build", tmp_path / "foreign", "-o", tmp_path / "out", *common, "--unscored")
    kept = rows(tmp_path / "out", "all")
    assert len(kept) == 8 and {row["reward"] for row in kept} == {None}
    assert "taken as successes, with an empty reward" in (tmp_path / "out" / "README.md").read_text()
    assert "reward not recorded" in run("inspect", tmp_path / "out", "--row", 0)
    for name in FORMATS:
        export(tmp_path / "out", tmp_path / name, name)
        assert episodes(tmp_path / name) == episodes(tmp_path / "out")


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(agentmerge, ["export", str(tmp_path), "-o", str(tmp_path / "out"), "--format", "atif"])
    assert "has no data/episodes" in str(done.exception) and not (tmp_path / "out").exists()
