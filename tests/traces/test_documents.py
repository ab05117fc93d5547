"""Documents of ATIF and of the Agent Data Protocol are found among other files and read as episodes."""

import gzip
import json
import re
from pathlib import Path

import atif
import pytest

from agentmerge_hub.dataset.reload import find_inputs
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Episode
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import find_episodes
from agentmerge_hub.traces.formats.detection import NOT_READ

TREE = "RootWebArea 'Map', focused, url='http://maps/'\n\t[149] link 'Directions'"
LATER = "RootWebArea 'Directions', url='http://maps/directions'\n\t[158] textbox 'From'"


def web(axtree: str) -> dict:
    return {"html": None, "axtree": axtree, "url": None, "image_observation": None, "viewport_size": None}


ADP = {
    "id": "7",
    "content": [
        {"class_": "text_observation", "content": "Find the way.", "source": "user"},
        {"class_": "web_observation"} | web(TREE),
        {"class_": "api_action", "function": "click", "kwargs": {"bid": '"149"'}, "description": "I open it."},
        {"class_": "web_observation"} | web(LATER),
        {
            "class_": "api_action",
            "function": "type",
            "kwargs": {"bid": '"158"', "text": '"Rome"', "press_enter_after": "1"},
        },
        {"class_": "code_action", "language": "python", "content": "print(6 * 7)", "description": "I count."},
        {"class_": "message_action", "content": "click('158') comes next."},
        {"class_": "message_action", "content": '<finish> "42 km" </finish>', "description": "It says so."},
    ],
    "details": {"source": "walks"},
}
RESULT = {"source_call_id": "call_1", "content": "", "extra": {"web": web(LATER)}}
ATIF = {
    "schema_version": "ATIF-v1.7",
    "session_id": "s",
    "trajectory_id": "t",
    "agent": {"name": "walker", "version": "1", "model_name": "gpt"},
    "steps": [
        {"step_id": 1, "source": "user", "message": "Old.", "is_copied_context": True},
        {"step_id": 2, "source": "user", "message": "Find the way.", "timestamp": "2026-06-24T14:39:44.732Z"},
        {"step_id": 3, "source": "agent", "message": "", "llm_call_count": 0, "observation": {"results": [{"content": TREE}]}},
        {"step_id": 4, "source": "agent", "message": "I open it.", "metrics": {"prompt_tokens": 9, "completion_tokens": 2},
         "tool_calls": [{"tool_call_id": "call_1", "function_name": "click", "arguments": {"bid": "149"}}],
         "observation": {"results": [RESULT]}},
        {"step_id": 5, "source": "agent", "message": "Rome is far."},
        {"step_id": 6, "source": "agent", "message": "", "reasoning_content": "I type it.",
         "tool_calls": [{"tool_call_id": "call_2", "function_name": "fill", "arguments": {"bid": "158", "value": '"Rome"'}}]},
    ],
}  # fmt: skip


def episodes(root: Path) -> list[Episode]:
    return [read_episode(found) for found in find_episodes([root])]


def test_a_trajectory_of_the_agent_data_protocol(tmp_path: Path) -> None:
    (tmp_path / "std.json").write_text(json.dumps([ADP]))
    (episode,) = episodes(tmp_path)
    assert (episode.benchmark, episode.task, episode.teacher, episode.complete) == ("walks", "walks.7", "", False)
    assert [step.action for step in episode.steps] == [
        "click(bid='149')",
        "fill(bid='158', value='Rome')\npress(bid='158', key_comb='Enter')",
        None,
        None,
        "send_msg_to_user(text='42 km')",
    ]
    assert [step.thought for step in episode.steps] == ["I open it.", None, "I count.", None, "It says so."]
    assert [step.executed for step in episode.steps][2:4] == ["print(6 * 7)", "click('158') comes next."]
    assert [step.observation.axtree for step in episode.steps] == [TREE, LATER, LATER, LATER, LATER]
    assert episode.steps[1].observation.title == "Directions" and episode.steps[0].observation.url == "http://maps/"
    assert all(step.observation.goal == "Find the way." for step in episode.steps)
    assert episode.unmapped == ()


@pytest.mark.parametrize(
    ("recorded", "enters"),
    [("1", True), (1, True), (True, True), ("true", True), ('"True"', True), ("0", False), (0, False), (False, False), ("false", False),
     (None, False), ("", False), ("perhaps", None), (2, None), ([1], None)],
)  # fmt: skip
def test_enter_is_pressed_where_a_call_says_so(tmp_path: Path, recorded: object, enters: bool | None) -> None:
    typed = {"bid": '"158"', "text": '"Rome"', "press_enter_after": recorded}
    content = [*ADP["content"][:2], {"class_": "api_action", "function": "type", "kwargs": typed}]
    (tmp_path / "std.json").write_text(json.dumps(ADP | {"content": content}))
    (step,) = episodes(tmp_path)[0].steps
    call, enter = "fill(bid='158', value='Rome')", "press(bid='158', key_comb='Enter')"
    assert step.action == {True: f"{call}\n{enter}", False: call, None: None}[enters]


def test_rewards_of_single_items_are_no_outcome(tmp_path: Path) -> None:
    content = [*ADP["content"][:3], ADP["content"][3] | {"reward": 1.0}]
    (tmp_path / "std.json").write_text(json.dumps(ADP | {"content": content}))
    (episode,) = episodes(tmp_path)
    assert not episode.scored and episode.unmapped == ("rewards of single items, which do not say how the run ended",)


def test_a_document_of_atif(tmp_path: Path) -> None:
    (tmp_path / "trajectory.json").write_text(json.dumps(ATIF))
    (episode,) = episodes(tmp_path)
    assert (episode.agent, episode.teacher, episode.date) == ("walker", "gpt", "2026-06-24T14:39:44")
    assert (episode.reward, episode.complete) == (0.0, False)
    first, message, second = episode.steps
    assert (message.action, message.executed) == (None, "Rome is far.")
    assert (first.action, first.thought, first.prompt_tokens) == ("click(bid='149')", "I open it.", 9)
    assert (second.action, second.thought) == ("fill(bid='158', value='\"Rome\"')", "I type it.")
    assert (first.observation.axtree, second.observation.axtree) == (TREE, LATER)
    assert message.observation.last_action == first.action
    assert episode.unmapped == ("steps copied from an earlier document",)


@pytest.mark.parametrize(
    ("recorded", "thought"),
    [("<think>I look.</think>", "I look."), ("<think></think>", None), ("[THINK][/THINK]", None), (" \u200b", None), ("I look.", "I look.")],
)  # fmt: skip
def test_the_thought_beside_a_call_has_no_tags_and_is_not_empty(
    tmp_path: Path, recorded: str, thought: str | None
) -> None:
    call = {"tool_call_id": "1", "function_name": "click", "arguments": {"bid": "149"}}
    goal = {"source": "user", "message": "Find the way."}
    for field in ("message", "reasoning_content"):
        step = {"source": "agent", "message": "", "tool_calls": [call]} | {field: recorded}
        (tmp_path / f"{field}.json").write_text(json.dumps(ATIF | {"steps": [goal, step], "session_id": field}))
    for field in ("description", "reasoning_content"):
        item = {"class_": "api_action", "function": "click", "kwargs": {"bid": "1"}} | {field: recorded}
        document = {"id": field, "content": [*ADP["content"][:2], item]}
        (tmp_path / f"adp_{field}.json").write_text(json.dumps(document))
    assert [step.thought for episode in episodes(tmp_path) for step in episode.steps] == [thought] * 4


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("fill", {"element-id": "158", "value": "Rome"}), ("", {"bid": "158"}), ("# fill", {"bid": "158"})],
)
def test_of_tool_calls_with_one_that_cannot_be_read_none_is_the_action(
    tmp_path: Path, name: str, arguments: dict[str, str]
) -> None:
    click = {"tool_call_id": "2", "function_name": "click", "arguments": {"bid": "149"}}
    calls = [{"tool_call_id": "1", "function_name": name, "arguments": arguments}, click]
    steps = [{"source": "user", "message": "Find the way."}]
    steps += [{"source": "agent", "message": "", "tool_calls": made} for made in (calls, [click, click])]
    (tmp_path / "trajectory.json").write_text(json.dumps(ATIF | {"steps": steps}))
    (episode,) = episodes(tmp_path)
    unread, read = episode.steps
    assert unread.action is None and "click(bid='149')" in unread.executed
    assert read.action == "click(bid='149')\nclick(bid='149')"


def test_harbors_result_beside_a_document_says_how_it_ended(tmp_path: Path) -> None:
    (tmp_path / "trial" / "agent").mkdir(parents=True)
    (tmp_path / "trial" / "agent" / "trajectory.json").write_text(json.dumps(ATIF))
    result = {"task_name": "walks.rome", "verifier_result": {"rewards": {"reward": 1.0}}}
    (tmp_path / "trial" / "result.json").write_text(json.dumps(result))
    (episode,) = episodes(tmp_path)
    assert (episode.task, episode.benchmark, episode.reward) == ("walks.rome", "walks", 1.0)
    assert episode.terminated and episode.complete
    result["verifier_result"] = {"rewards": {"style": 1.0, "tests": 0.0}}
    (tmp_path / "trial" / "result.json").write_text(json.dumps(result))
    (episode,) = episodes(tmp_path)
    assert not episode.scored and "several rewards, none of which is the run's" in episode.unmapped


@pytest.mark.parametrize(
    ("places", "says"),
    [
        ([0, 1, 2, 4, 5], "step_id 5 follows step_id 3"),
        ([0, 1, 2, 3, 3, 4, 5], "step_id 4 follows step_id 4"),
        ([0, 1, 2, 4, 3, 5], "step_id 5 follows step_id 3"),
    ],
)
def test_a_document_of_atif_without_one_of_its_steps_is_refused(tmp_path: Path, places: list[int], says: str) -> None:
    document = ATIF | {"steps": [ATIF["steps"][place] for place in places]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(Unreadable, match=f"{says}: a step is missing, there twice or out of order"):
        episodes(tmp_path)


def test_a_goal_of_atif_with_a_picture_is_known_as_one(tmp_path: Path) -> None:
    picture = {"type": "image", "source": {"media_type": "image/png", "path": "a.png"}}
    goal = ATIF["steps"][1] | {"message": [{"type": "text", "text": "Find it."}, picture]}
    for name, steps in (("a", ATIF["steps"]), ("b", [ATIF["steps"][0], goal, *ATIF["steps"][2:]])):
        (tmp_path / f"{name}.json").write_text(json.dumps(ATIF | {"steps": steps}))
    assert [episode.image_goal for episode in episodes(tmp_path)] == [False, True]


def test_formats_are_told_apart_by_content_in_a_mixture(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ATIF))
    (tmp_path / "b.jsonl").write_text(json.dumps(ADP) + "\n" + json.dumps(ADP | {"id": "8"}) + "\n")
    (tmp_path / "c.json").write_text('{"schema_version": "1", "content": []}')
    (tmp_path / "d.json").write_text('{"messages": [], "output": 3}')
    found = find_episodes([tmp_path])
    assert [(one.source, one.format) for one in found] == [
        ("a.json", "atif"),
        ("b.jsonl#0", "adp"),
        ("b.jsonl#1", "adp"),
    ]
    tasks = [read_episode(one).task for one in found]
    assert tasks == ["s", "walks.7", "walks.8"]
    assert len({read_episode(one).episode_id for one in found}) == 3


@pytest.mark.parametrize(
    "text", ['[{"class_": ', '{"class_": 3}', "[" * 5000 + '"class_"', '[{"schema_version": "ATIF-v1.7"', '{"content":[{"class_":[]}]}']
)  # fmt: skip
@pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
def test_a_damaged_document_is_set_aside(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (found,) = find_episodes([tmp_path])
    with pytest.raises(Unreadable, match=rf"{name} (is not JSON|holds no document)"):
        read_episode(found)


def entries(root: Path) -> dict[str, str]:
    """Source of each entry → the task, or why there is none."""
    read = {}
    for found in find_episodes([root]):
        try:
            read[found.source] = read_episode(found).task
        except Unreadable as error:
            read[found.source] = str(error)
    return read


def test_what_is_no_document_has_an_entry_and_the_others_are_read(tmp_path: Path) -> None:
    good = [json.dumps(ADP | {"id": number}) for number in ("1", "2", "3")]
    unknown = ['{"content":[{"class_":[]}]}', "3", *["{}"] * 1000]
    lines = [good[0], good[1][:90], *unknown, "", good[2], '{"id": "4", "content": [{"class_"']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.json").write_text(f"[{good[0]}, null, {good[1]}]")
    (tmp_path / "c.jsonl").write_text("\n".join([good[0], *["{"] * 130]))
    (tmp_path / "d.json").write_text("\n".join(good[:2]))
    read = entries(tmp_path)
    assert {source: text for source, text in read.items() if text.startswith("walks")} == {
        "a.jsonl#0": "walks.1", "a.jsonl#1004": "walks.3", "b.json#0": "walks.1", "b.json#2": "walks.2", "c.jsonl#0": "walks.1",
        "d.json#0": "walks.1", "d.json#1": "walks.2",
    }  # fmt: skip
    assert read["a.jsonl:2"].startswith("a.jsonl:2 is not JSON (Unterminated string starting at, column ")
    assert read["a.jsonl:1007"].startswith("a.jsonl:1007 is not JSON (Expecting ':' delimiter, column 34)")
    assert read["a.jsonl"] == "a.jsonl holds 1,002 values of no known format, which are left out: #2, #3, #4, …"
    assert read["b.json"] == "b.json holds 1 value of no known format, which are left out: #1"
    assert read["c.jsonl"] == "c.jsonl holds 30 more damaged lines"
    assert len(read) == 5 + 3 + 102 + 2


def write_gzipped(path: Path, text: str, cut: int | None = None) -> Path:
    path.write_bytes(gzip.compress(text.encode(), mtime=0)[:cut])
    return path


def test_gzipped_documents_are_read_within_the_budget_of_their_file(tmp_path: Path) -> None:
    lines = f"{json.dumps(ADP)}\n{json.dumps(ADP | {'id': '8'})}\n"
    write_gzipped(tmp_path / "a.jsonl.gz", lines)
    write_gzipped(tmp_path / "b.json.gz", json.dumps(ATIF))
    write_gzipped(tmp_path / "bomb.json.gz", json.dumps(ATIF | {"notes": " " * 2**26}))
    write_gzipped(tmp_path / "cut.json.gz", json.dumps(ADP), cut=-9)
    write_gzipped(tmp_path / "other.json.gz", '{"notes": 1}')
    (tmp_path / "plain.json.gz").write_text(lines)
    assert entries(tmp_path) == {
        "a.jsonl.gz#0": "walks.7", "a.jsonl.gz#1": "walks.8", "b.json.gz": "s", "plain.json.gz#0": "walks.7", "plain.json.gz#1": "walks.8",
        "bomb.json.gz": "bomb.json.gz is larger than 16 MB unpacked",
        "cut.json.gz": "cut.json.gz cannot be decompressed (it ends in the middle)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("version", "unmapped"),
    [("ATIF-v1.0", ()), ("ATIF-v1.8", ()), ("ATIF-v1.12", ("what ATIF-v1.12 has beyond ATIF-v1.8",))],
)
def test_minor_versions_of_atif_are_read_and_new_ones_noted(tmp_path: Path, version: str, unmapped: tuple) -> None:
    document = ATIF | {"schema_version": version, "steps": ATIF["steps"][1:]}
    assert atif.Trajectory.model_validate(document | {"steps": []}).schema_version == version
    (tmp_path / "a.json").write_text(json.dumps(document))
    (episode,) = episodes(tmp_path)
    assert len(episode.steps) == 3 and episode.unmapped == unmapped


@pytest.mark.parametrize("version", ["ATIF-v2.0", "ATIF-v1", "ATIF-v1.x", "ATIF-v"])
def test_another_version_of_atif_is_named(tmp_path: Path, version: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ATIF | {"schema_version": version}))
    assert entries(tmp_path) == {
        "a.json": f"the document is of {version}, which is not known: convert it to ATIF-v1.8 or older"
    }


ROWS = {
    "sft_agentlab.json": {"id": "0-0", "conversations": [{"role": "user", "content": 'Say "class_" and "ATIF-v1.7".'}]},
    "sample_raw.json": {"task": "x", "actions": ["div"]},
    "pairs.jsonl": {"prompt": "a page", "response": "click(element_id='93')"},
    "rows.jsonl.gz": {"task_name": "x", "messages": [], "output": "an answer"},
    "pi.jsonl": {"type": "session", "version": 3, "id": "x", "cwd": "/"},
    "shown.jsonl": {"type": "session", "harness": "agentmerge", "id": "x"},
}
REASONS = {
    "sft_agentlab.json": "holds training rows .* sample_std.json", "sample_raw.json": "sample_std.json", "pairs.jsonl": "a raw file.*sample_std.json",
    "rows.jsonl.gz": "a raw file.*sample_std.json", "pi.jsonl": "a session trace that this package did not export",
    "shown.jsonl": "a session of a published dataset.* give the dataset's folder",
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_file_that_is_not_read_says_which_file_to_give(tmp_path: Path, name: str) -> None:
    text = json.dumps(ROWS[name])
    path = tmp_path / name
    if name.endswith(".gz"):
        write_gzipped(path, text)
    else:
        path.write_text(f"[\n {text}]" if name.endswith(".json") else f"{text}\n")
    for root in (tmp_path, path):
        with pytest.raises(UserError, match=f"{name} .*{REASONS[name]}"):
            find_episodes([root])
    (tmp_path / "good.json").write_text(json.dumps([ADP]))
    read = entries(tmp_path)
    assert read["good.json"] == "walks.7" and re.search(f"^{name} .*{REASONS[name]}", read[name])


def test_a_file_is_a_root_as_its_folder_is(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "x.jsonl").write_text(f"{json.dumps(ADP)}\n{json.dumps(ADP | {'id': '8'})}\n")
    file = tmp_path / "a" / "x.jsonl"
    assert [one.source for one in find_episodes([file])] == ["x.jsonl#0", "x.jsonl#1"]
    roots = [file, tmp_path / "b" / "x.jsonl", tmp_path / "b"]
    sources = [one.source for one in find_inputs(roots)]
    assert sources == ["x.jsonl#0", "x.jsonl#1", "x.jsonl-2#0", "x.jsonl-2#1"]


def test_a_session_without_a_line_is_no_episode(tmp_path: Path) -> None:
    header = {"type": "session", "agentmerge": {"version": 1, "steps": [{}]}}
    (tmp_path / "a.jsonl").write_text(json.dumps(header) + '\n{"type": "mess\n')
    assert entries(tmp_path) == {"a.jsonl": "a.jsonl:2 is not JSON (Unterminated string starting at, column 10)"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_documents_are_found_in_every_encoding_and_behind_any_keys(tmp_path: Path, encoding: str) -> None:
    before = {"notes": "é" * (2**20 - 20)}
    for name, document in (("adp", ADP), ("atif", ATIF)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(before | document, ensure_ascii=False) + "\n", encoding)
    (tmp_path / "other.json").write_text(json.dumps(before), encoding)
    assert entries(tmp_path) == {"adp.jsonl": "walks.7", "atif.jsonl": "s"}


def test_a_link_to_a_document_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "one").write_text(json.dumps(ADP))
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "a.json").symlink_to(tmp_path / "blobs" / "one")
    assert "a.json is a link to a file outside of its folder: copy" in entries(tmp_path / "traces")["a.json"]


def test_public_files_of_every_format_are_read(wild_traces: Path) -> None:
    found = find_episodes([wild_traces])
    read = [read_episode(one) for one in found if getattr(one, "format", "") not in NOT_READ]
    assert len(read) > 40 and sum(len(episode.steps) for episode in read) > 100
    assert sum(bool(step.action) for episode in read for step in episode.steps) > 60
