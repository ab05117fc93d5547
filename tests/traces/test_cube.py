"""Trajectories of CUBE are read from each layout: the page before a decision is what the call before it brought back."""

import json
from pathlib import Path

import msgpack
import pytest
import zstandard

from agentmerge_hub.records import Episode
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import find_episodes

GOAL = "Enter 'Ann' and press Submit."
TREES = [f"RootWebArea 'Form', focused, url='http://localhost/form'\n\t[14] textbox ''{state}\n\t[15] button 'Submit'" for state in ("", " value='Ann'", " value='Ann', required")]  # fmt: skip


def text(data: str, name: str | None = None, call: str | None = None) -> dict:
    return {"tool_call_id": call, "name": name, "data": data, "_type": "cube.core.TextContent"}


def page(number: int, *more: dict) -> dict:
    picture = {"data": "data:image/png;base64,AAAA", "name": "screenshot", "_type": "cube.core.ImageContent"}
    return {"contents": [*more, text(TREES[number], "axtree_txt"), text("14", "focused_element"), picture]}


def call(name: str, number: int, **arguments: object) -> dict:
    return {"id": f"call_{number}", "name": name, "arguments": arguments}


def answer(content: str, *, tag: str = "act", **more: object) -> dict:
    usage = {"prompt_tokens": 290, "completion_tokens": 20}
    message = {"role": "assistant", "content": content} | more
    return {"tag": tag, "llm_config": {"model_name": "openai/gpt"}, "output": message, "usage": usage}


def event(output: dict) -> dict:
    return {"output": output, "start_time": 1.0, "end_time": 3.0}


EVENTS = [
    ("tool_call", {"action": {"name": "_reset"}, "obs": page(0, text(GOAL))}),
    ("llm", {"id": "a", "call": answer("no call")}),
    ("llm", {"id": "b", "call": answer("I type it.")}),
    ("tool_call", {"action": call("fill", 0, bid="14", value="Ann"), "obs": page(1, text("Success", call="call_0"))}),
    ("eval", {"reward": 0.0, "is_terminal": False}),
    ("llm", {"id": "s", "call": answer("So far so good.", tag="summary")}),
    ("llm", {"id": "c", "call": answer("", reasoning_content="Now I press it.")}),
    ("tool_call", {"action": call("click", 1, bid="99"), "obs": page(1, text("Failed: ValueError: no such element"))}),
    ("tool_call", {"action": call("click", 2, bid="15"), "obs": page(2, text("Success"))}),
    ("eval", {"reward": 1.0, "is_terminal": True}),
]
METADATA = {"metadata": {"task_id": "enter-text", "agent_name": "React", "seed": 3, "goal": GOAL}, "end_time": 4.0, "reward_info": {"reward": 1.0, "done": True}}  # fmt: skip
CONFIG = {
    "task_config": {
        "_type": "miniwob_cube.task.Config",
        "tool_config": {"action_subsets": ["bid", "nav"], "use_html": True},
    }
}


def packed(value: object) -> bytes:
    return zstandard.ZstdCompressor().compress(msgpack.packb(value))


def write_events(root: Path, events=EVENTS, *, status: dict | None = None, metadata: dict | None = None) -> Path:
    folder = root / "run" / "episodes" / "enter-text_ep1"
    (folder / "events").mkdir(parents=True)
    for number, (kind, output) in enumerate(events):
        (folder / "events" / f"{number:03}_{kind}.msgpack.zst").write_bytes(packed(event(output)))
    (folder / "episode.metadata.json").write_text(json.dumps(METADATA | (metadata or {})))
    (folder / "episode_config.json").write_text(json.dumps(CONFIG))
    (folder / "status.json").write_text(json.dumps({"status": "COMPLETED"} | (status or {})))
    return folder


def only(root: Path) -> Episode:
    (found,) = find_episodes([root])
    return read_episode(found)


def test_events_become_decisions(tmp_path: Path) -> None:
    write_events(tmp_path)
    episode = only(tmp_path)
    assert (episode.source, episode.benchmark, episode.task, episode.seed) == ("run/episodes/enter-text_ep1", "miniwob", "miniwob.enter-text", 3)  # fmt: skip
    assert (episode.agent, episode.teacher, episode.reward, episode.complete) == ("React", "openai/gpt", 1.0, True)
    assert (episode.terminated, episode.truncated, episode.action_space, episode.flags) == (True, False, "bid+nav", {"use_html": True})  # fmt: skip
    assert episode.unmapped == ("answers that summarize", "screenshots")
    fill, click = episode.steps
    assert (fill.action, fill.thought, fill.answer) == ("fill(bid='14', value='Ann')", "I type it.", "I type it.")
    assert (fill.parse_retries, fill.prompt_tokens, fill.completion_tokens, fill.agent_seconds) == (1, 290, 20, 2.0)
    assert (click.action, click.thought) == ("click(bid='99')\nclick(bid='15')", "Now I press it.")
    assert (fill.observation.goal, fill.observation.axtree) == (GOAL, TREES[0])
    seen = click.observation
    assert (seen.axtree, seen.last_action, seen.focused_bid) == (TREES[1], fill.action, "14")
    assert (seen.title, seen.url, seen.last_action_error) == ("Form", "http://localhost/form", "")


def test_what_a_failed_call_came_to_is_its_error(tmp_path: Path) -> None:
    events = [*EVENTS[:8], ("llm", {"id": "d", "call": answer("Again.")}), EVENTS[8]]
    write_events(tmp_path, events)
    assert [step.observation.last_action_error for step in only(tmp_path).steps] == [
        "",
        "",
        "ValueError: no such element",
    ]


@pytest.mark.parametrize(
    ("events", "status", "metadata", "expected"),
    [
        (EVENTS[:4], {"status": "MAX_STEPS_REACHED"}, {"reward_info": {"reward": 0.0, "done": False}}, (False, True, True, "")),
        ([*EVENTS[:4], ("agent_error", {"error": {"error_type": "BudgetExceeded"}})], {}, {}, (True, True, True, "")),
        (EVENTS[:2], {"status": "INVALID_CONFIG", "error_message": "no such key"}, {"reward_info": {}}, (False, False, False, "no such key")),
        (EVENTS[:4], {"status": "RUNNING"}, {"end_time": None, "reward_info": {}}, (False, False, False, "")),
        (EVENTS[:4], {}, {"end_time": None}, (True, False, False, "")),
    ],
    ids=["steps", "budget", "error", "running", "no end"],
)  # fmt: skip
def test_how_a_run_ended(tmp_path: Path, events: list, status: dict, metadata: dict, expected: tuple) -> None:
    write_events(tmp_path, events, status=status, metadata=metadata)
    episode = only(tmp_path)
    assert (episode.terminated, episode.truncated, episode.complete, episode.error) == expected


STEPS = [
    {"obs": page(0, text(GOAL)), "reward": 0.0},
    {"actions": [call("fill", 0, bid="14", value="Ann")], "llm_calls": [answer("I type it.")]},
    {"obs": page(1), "reward": 0.0},
    {"actions": [call("click", 1, bid="15")], "llm_calls": [], "thoughts": "Now I press it."},
    {"obs": page(2), "reward": 1.0},
]


def test_the_older_layouts_are_read_alike(tmp_path: Path) -> None:
    folder = tmp_path / "steps" / "episodes" / "enter-text_ep1"
    (folder / "steps").mkdir(parents=True)
    for number, step in enumerate(STEPS):
        kind = "obs" if "obs" in step else "act"
        (folder / "steps" / f"{number:03}_{kind}.msgpack.zst").write_bytes(packed(event(step)))
    (folder / "episode.metadata.json").write_text(json.dumps(METADATA))
    lines = tmp_path / "lines" / "trajectories"
    (lines.parent / "llm_calls").mkdir(parents=True)
    lines.mkdir()
    named = [dict(step) for step in STEPS]
    named[1]["llm_calls"] = [{"llm_call_id": "abc"}]
    (lines.parent / "llm_calls" / "enter-text_ep1_step001_abc.json").write_text(json.dumps(answer("I type it.")))
    (lines / "enter-text_ep1.jsonl").write_text("".join(json.dumps(event(step)) + "\n" for step in named))
    (lines / "enter-text_ep1.metadata.json").write_text(json.dumps(METADATA))
    of_lines, of_steps = (read_episode(found) for found in find_episodes([tmp_path]))
    assert (of_lines.source, of_steps.source) == (
        "lines/trajectories/enter-text_ep1.jsonl",
        "steps/episodes/enter-text_ep1",
    )
    for episode in (of_lines, of_steps):
        assert [step.action for step in episode.steps] == ["fill(bid='14', value='Ann')", "click(bid='15')"]
        assert [step.thought for step in episode.steps] == ["I type it.", "Now I press it."]
        assert [step.observation.axtree for step in episode.steps] == TREES[:2]
        assert episode.teacher == "openai/gpt" and episode.reward == 1.0


def test_characters_that_end_a_line_of_text_end_none_of_the_file(tmp_path: Path) -> None:
    """Pages hold U+2028 and U+0085, which JSON writers leave as they are."""
    lines = [json.dumps(event(step), ensure_ascii=False).replace("'Submit'", "'Sub\u2028mit\x85'") for step in STEPS]
    (tmp_path / "trajectories").mkdir()
    (tmp_path / "trajectories" / "a_ep1.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "trajectories" / "a_ep1.metadata.json").write_text(json.dumps(METADATA))
    (found,) = find_episodes([tmp_path])
    episode = read_episode(found)
    assert [step.action for step in episode.steps] == ["fill(bid='14', value='Ann')", "click(bid='15')"]
    assert "button 'Sub\u2028mit\x85'" in episode.steps[0].observation.axtree


def test_archived_attempts_are_no_episodes(tmp_path: Path) -> None:
    folder = write_events(tmp_path)
    folder.rename(folder.with_name("enter-text_ep1.archived_1"))
    write_events(tmp_path)
    assert len(find_episodes([tmp_path])) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no zstd", "cannot be unpacked"),
        (zstandard.ZstdCompressor().compress(b"\xc1"), "cannot be unpacked"),
        (zstandard.ZstdCompressor().compress(bytes(2**24)), "larger than 4 MB unpacked"),
        (zstandard.ZstdCompressor().compress(b"\x91" * 100_000), "cannot be unpacked"),
    ],
)
def test_a_damaged_event_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    folder = write_events(tmp_path)
    (folder / "events" / "003_tool_call.msgpack.zst").write_bytes(content)
    with pytest.raises(Unreadable, match=f"003_tool_call.msgpack.zst .*{says}"):
        only(tmp_path)


@pytest.mark.parametrize("change", ["missing", "twice"])
def test_a_missing_event_would_give_a_decision_the_page_of_another(tmp_path: Path, change: str) -> None:
    folder = write_events(tmp_path)
    file = folder / "events" / "003_tool_call.msgpack.zst"
    if change == "missing":
        file.unlink()
    else:
        file.with_name("003_eval.msgpack.zst").write_bytes(file.read_bytes())
    with pytest.raises(Unreadable, match="files in events/ have gaps: one is missing or there twice"):
        only(tmp_path)


def test_events_outside_of_the_folder_are_not_read(tmp_path: Path) -> None:
    folder = write_events(tmp_path / "a")
    (folder / "events").rename(tmp_path / "elsewhere")
    (folder / "events").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unreadable, match=r"000_tool_call.msgpack.zst is a link to a file outside of its folder"):
        only(tmp_path / "a")
