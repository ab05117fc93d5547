"""Episodes of a dataset are exported to other formats, valid there, and read back as they were."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from atif import Trajectory
from click.testing import CliRunner
from dataset_files import rows, run
from made_traces import write_episode

from agentmerge_hub.cli import agentmerge
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


def test_an_export_to_atif_is_valid_there(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "atif")
    for path in sorted((tmp_path / "out").glob("[0-9a-f]*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        checked = Trajectory.model_validate(document)
        assert checked.to_json_dict() and [step.step_id for step in checked.steps] == list(
            range(1, len(checked.steps) + 1)
        )
        assert document["steps"][2]["tool_calls"][0]["function_name"] == "click"


def test_an_export_to_the_agent_data_protocol_has_its_shape(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "adp")
    keys = {
        "text_observation": {"class_", "content", "name", "source"},
        "web_observation": {"class_", "html", "axtree", "url", "image_observation", "viewport_size"},
        "api_action": {"class_", "function", "kwargs", "description"},
    }
    for path in (tmp_path / "out").glob("*.jsonl"):
        (line,) = path.read_text(encoding="utf-8").splitlines()
        trajectory = json.loads(line)
        assert set(trajectory) == {"schema_version", "id", "content", "details"}
        assert all(set(item) == keys[item["class_"]] for item in trajectory["content"])
        bid = next(item["kwargs"]["bid"] for item in trajectory["content"] if item["class_"] == "api_action")
        assert json.loads(bid).isdigit()


def test_a_session_trace_has_the_lines_that_the_viewer_reads(dataset: Path, tmp_path: Path) -> None:
    export(dataset, tmp_path / "out", "session-trace")
    for path in (tmp_path / "out").glob("*.jsonl"):
        header, *rest = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        assert header["type"] == "session" and header["harness"] == "agentmerge" and header["reward"] == 1.0
        assert all(line["type"] == "message" for line in rest)
        assert [line["message"]["role"] for line in rest] == ["user", "user", "assistant"]
        call = rest[-1]["message"]["toolCalls"][0]["function"]
        assert call["name"] == "click" and json.loads(call["arguments"])["bid"].isdigit()


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
