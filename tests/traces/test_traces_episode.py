"""Episodes are read from every layout alike, and one bad file takes only its own episode with it."""

import gzip
import json
import pickle
from pathlib import Path

import pytest

from agentmerge_hub.errors import UserError
from agentmerge_hub.traces.answers import read_action, read_chat, read_thought
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import Found, find_episodes

PAGE = {"goal": "Press OK.", "axtree_txt": "[1] button 'OK'", "last_action_error": ""}


def write(folder: Path, steps: list[dict], *, summary: dict | None = None, args: dict | None = None) -> Found:
    folder.mkdir(parents=True)
    for number, step in enumerate(steps):
        (folder / f"step_{number}.pkl.gz").write_bytes(gzip.compress(pickle.dumps(step)))
    if summary is not None:
        (folder / "summary_info.json").write_text(json.dumps(summary))
    if args is not None:
        (folder / "exp_args.pkl").write_bytes(pickle.dumps(args))
    return Found(folder.name, folder)


ARGS = {
    "agent_args": {"agent_name": "Expert", "chat_model_args": {"model_name": "some-model"}},
    "env_args": {"task_name": "miniwob.click-button", "task_seed": 4},
}
DONE = {"cum_reward": 1.0, "terminated": True, "truncated": False}
LAST = {"obs": PAGE, "action": None, "agent_info": {}}


def test_a_complete_episode(tmp_path: Path) -> None:
    step = {"obs": PAGE, "action": "click('1')", "agent_info": {"think": "I press it."}}
    episode = read_episode(write(tmp_path / "a", [step, LAST], summary=DONE, args=ARGS))
    assert (episode.task, episode.seed, episode.benchmark) == ("miniwob.click-button", 4, "miniwob")
    assert (episode.agent, episode.teacher, episode.reward, episode.complete) == ("Expert", "some-model", 1.0, True)
    (only,) = episode.steps
    assert (only.action, only.thought, only.observation.goal) == ("click('1')", "I press it.", "Press OK.")


def test_old_layouts_lack_the_goal_the_summary_and_the_arguments(tmp_path: Path) -> None:
    page = {"axtree_txt": "[1] button 'OK'", "chat_messages": [{"role": "user", "message": "Press OK."}]}
    step = {"obs": page, "action": "I press it.\n\n```click('1')```", "agent_info": {}}
    folder = tmp_path / "2024-12-18_12-49-54_DemoAgentArgs_on_workarena.servicenow.all-menu_4"
    episode = read_episode(write(folder, [step]))
    assert (episode.task, episode.seed, episode.date) == ("workarena.servicenow.all-menu", 4, "2024-12-18T12:49:54")
    assert not episode.complete and episode.teacher == ""
    assert episode.steps[0].observation.goal == "Press OK."
    (folder / "goal_object.pkl.gz").write_bytes(gzip.compress(pickle.dumps([{"type": "text", "text": "Press it."}])))
    assert read_episode(Found("a", folder)).steps[0].observation.goal == "Press it."


def test_crashed_and_empty_episodes(tmp_path: Path) -> None:
    crashed = {"cum_reward": 0, "err_msg": "TimeoutError:\nPage.goto: Timeout", "stack_trace": "…"}
    episode = read_episode(write(tmp_path / "a", [{"obs": None, "action": None}], summary=crashed, args=ARGS))
    assert episode.steps == () and episode.error == "TimeoutError: Page.goto: Timeout"
    assert read_episode(write(tmp_path / "b", [], summary=DONE, args=ARGS)).steps == ()


def test_the_id_is_that_of_the_content(tmp_path: Path) -> None:
    step = {"obs": PAGE, "action": "click('1')", "agent_info": {}}
    one, two = (read_episode(write(tmp_path / name, [step], summary=DONE, args=ARGS)) for name in ("a", "other name"))
    assert one.episode_id == two.episode_id
    other = read_episode(write(tmp_path / "c", [step | {"reward": 1}], summary=DONE, args=ARGS))
    assert other.episode_id != one.episode_id


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("step_1.pkl.gz", b"\x1f\x8bnot gzip", "step_1.pkl.gz cannot be decompressed"),
        ("step_1.pkl.gz", gzip.compress(b"cos\nsystem\n(S'true'\ntR."), "step_1.pkl.gz asks for 'os.system'"),
        ("exp_args.pkl", b"", "exp_args.pkl ends in the middle"),
        ("summary_info.json", b"{", "summary_info.json is not JSON"),
        ("step_7.pkl.gz", gzip.compress(pickle.dumps(LAST)), "step files have gaps"),
    ],
)
def test_a_bad_file_is_named_with_its_reason(tmp_path: Path, file: str, content: bytes, says: str) -> None:
    found = write(tmp_path / "a", [LAST, LAST], summary=DONE, args=ARGS)
    (found.folder / file).write_bytes(content)
    with pytest.raises(Unreadable, match=says):
        read_episode(found)


@pytest.mark.parametrize(
    "odd", [None, 3, "text", [1], {"obs": [1, 2]}, {"obs": {"goal": 5, "axtree_txt": ["x"]}, "action": 7}]
)
def test_values_of_the_wrong_type_never_break_the_reader(tmp_path: Path, odd: object) -> None:
    args = {"agent_args": odd, "env_args": ARGS["env_args"]}
    episode = read_episode(write(tmp_path / "a", [odd], summary={"cum_reward": "1", "err_msg": 3}, args=args))
    assert episode.reward == 0


def test_folders_are_found_however_deep_and_whatever_their_names(tmp_path: Path) -> None:
    for name in ("study/2025_run one", "study/deeper/still/x", "b"):
        write(tmp_path / "root" / name, [LAST], summary=DONE, args=ARGS)
    (tmp_path / "root/study/study.pkl.gz").write_bytes(b"never opened")
    (tmp_path / "root/.hidden").mkdir()
    (tmp_path / "root/.hidden/step_0.pkl.gz").write_bytes(b"")
    assert [f.source for f in find_episodes([tmp_path / "root"])] == ["b", "study/2025_run one", "study/deeper/still/x"]
    both = find_episodes([tmp_path / "root/study", tmp_path / "root/b"])
    assert [f.source for f in both] == ["b", "study/2025_run one", "study/deeper/still/x"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no traces in"):
        find_episodes([tmp_path / "root", tmp_path / "empty"])
    with pytest.raises(UserError, match="no folder"):
        find_episodes([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("text", "thought", "action"),
    [
        ("click('1')", None, "click('1')"),
        ("click('1') fill('2', 'x')", None, "click('1')\nfill('2', 'x')"),
        ("First I look.\n\n```click('1')```", "First I look.", "click('1')"),
        ("First I look.\n```python\nclick('1')\nnoop()\n```", "First I look.", "click('1')\nnoop()"),
        ("I press it.\n`click('1')`", "I press it.", "click('1')"),
        ("<think>\nI look.\n</think>\n<action>\nclick('1')\n</action>", "I look.", "click('1')"),
        ("<think>Not click('9').</think><action>click('1')</action>", "Not click('9').", "click('9')\nclick('1')"),
        ("I would rather not.", None, None),
        ("```import os```", None, None),
    ],
)
def test_actions_in_every_form(text: str, thought: str | None, action: str | None) -> None:
    executed = read_action(text)
    assert (executed.thought, executed.action) == (thought, action)


@pytest.mark.parametrize(
    ("recorded", "thought"),
    [("I look.", "I look."), ("<think>I look.</think><action>noop()</action>", "I look."), (" ", None), (3, None),
     ("<action>noop()</action>", None), ("noop()", None)],
)  # fmt: skip
def test_a_recorded_thought_is_none_where_there_was_no_think_step(recorded: object, thought: str | None) -> None:
    assert read_thought(recorded, "noop()") == thought


SYSTEM, USER = (
    {"role": "system", "content": "s"},
    {"role": "user", "content": [{"type": "text", "text": t} for t in "uv"]},
)
BAD, ERROR, GOOD = ({"role": r, "content": c} for r, c in (("assistant", "bad"), ("user", "no"), ("assistant", "good")))


def test_parse_and_retry_is_left_out_of_the_chat() -> None:
    chat = read_chat({"messages": [SYSTEM, USER, BAD, ERROR, GOOD]})
    assert chat.prompt == (SYSTEM, {"role": "user", "content": "u\nv"})
    assert (chat.answer, chat.retries) == ("good", 1)
    assert read_chat([SYSTEM, USER, BAD, ERROR]).answer == ""
    assert read_chat(["s", "u", "good"]).prompt == (SYSTEM, {"role": "user", "content": "u"})


def test_reasoning_that_the_server_took_out_is_part_of_the_answer() -> None:
    chat = read_chat([SYSTEM, USER, GOOD | {"reasoning_content": "I look."}])
    assert chat.answer == "<think>\nI look.\n</think>\n\ngood"


def test_a_chat_with_pictures_is_not_taken_for_text() -> None:
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:…"}}]}
    assert read_chat([SYSTEM, picture, GOOD]).prompt == ()


def test_real_traces(real_traces: Path) -> None:
    episodes = [read_episode(found) for found in find_episodes([real_traces])]
    assert len(episodes) == 27 and len({episode.episode_id for episode in episodes}) == 27
    assert all(episode.task and episode.seed >= 0 and episode.teacher.startswith("gpt-4o") for episode in episodes)
    assert all(step.observation.goal and step.action for episode in episodes for step in episode.steps)
    agentlab = [episode for episode in episodes if episode.benchmark == "miniwob"]
    assert all(step.messages and "<action>" in step.answer for episode in agentlab for step in episode.steps)
    assert sum(episode.error != "" for episode in episodes) == 3
    assert sum(not episode.complete for episode in episodes) == 2
