"""Episodes are read from every layout alike, and one bad file takes only its own episode with it."""

import datetime
import gzip
import os
import pickle
import signal
from pathlib import Path

import pytest
from trace_folders import ARGS, DONE, LAST, PAGE, STEP, write

from agentmerge_hub.errors import UserError
from agentmerge_hub.traces.episode import Unreadable, read_episode
from agentmerge_hub.traces.find import Found, find_episodes
from agentmerge_hub.traces.formats.answers import read_action, read_chat, read_thought
from agentmerge_hub.traces.limits import memory_limit, time_limit


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
        ("step_1.pkl.gz", gzip.compress(b"cos\nsystem\n(S'true'\ntR.", mtime=0), "step_1.pkl.gz asks for 'os.system'"),
        ("exp_args.pkl", b"", "exp_args.pkl ends in the middle"),
        ("summary_info.json", b"{", "summary_info.json is not JSON"),
        ("step_7.pkl.gz", gzip.compress(pickle.dumps(LAST), mtime=0), "step files have gaps"),
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
def test_values_of_the_wrong_type_are_absent(tmp_path: Path, odd: object) -> None:
    args = {"agent_args": odd, "env_args": ARGS["env_args"]}
    episode = read_episode(write(tmp_path / "a", [odd], summary={"terminated": "false", "err_msg": 3}, args=args))
    assert (episode.reward, episode.terminated, episode.error) == (0.0, False, "")


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), 10**400, -1e9, "1", [1]])
def test_a_reward_that_is_no_number_in_range_sets_the_episode_aside(tmp_path: Path, reward: object) -> None:
    with pytest.raises(Unreadable, match=r"summary_info.json has a reward that is no number"):
        read_episode(write(tmp_path / "a", [STEP], summary=DONE | {"cum_reward": reward}, args=ARGS))
    with pytest.raises(Unreadable, match=r"step_0.pkl.gz has a reward that is no number"):
        read_episode(write(tmp_path / "b", [STEP | {"reward": reward}], summary=DONE, args=ARGS))


def test_a_boolean_is_no_sum_of_rewards(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"summary_info.json has a reward that is no number"):
        read_episode(write(tmp_path / "a", [STEP], summary=DONE | {"cum_reward": True}, args=ARGS))
    episode = read_episode(write(tmp_path / "b", [STEP | {"reward": True}], summary=DONE, args=ARGS))
    assert type(episode.steps[0].reward) is float and episode.steps[0].reward == 1


def test_numbers_out_of_range_are_set_aside_or_absent(tmp_path: Path) -> None:
    stats = {"n_retry": float("nan"), "input_tokens": 10**400, "output_tokens": -1, "agent_elapsed": float("inf")}
    args = ARGS | {"exp_date": datetime.date(2025, 1, 1)}
    args |= {"agent_args": {"flags": {"max_prompt_tokens": 10**5000, "share": float("nan"), "deep": [[[[[1]]]]]}}}
    episode = read_episode(write(tmp_path / "a", [STEP | {"stats": stats}], summary=DONE, args=args))
    (step,) = episode.steps
    assert (step.parse_retries, step.prompt_tokens, step.completion_tokens, step.agent_seconds) == (0, 0, 0, 0.0)
    assert episode.date == "2025-01-01"
    assert episode.flags == {"max_prompt_tokens": "int", "share": "nan", "deep": [[["list"]]]}
    large = ARGS | {"env_args": {"task_name": "miniwob.click-test", "task_seed": 2**70}}
    with pytest.raises(Unreadable, match="seed of more than 64 bits"):
        read_episode(write(tmp_path / "b", [STEP], summary=DONE, args=large))


@pytest.mark.parametrize(("n_steps", "n_files"), [(1, 2), (3, 4), (None, 2), ("1", 5)])
def test_step_files_are_those_of_the_run_that_the_summary_counts(tmp_path: Path, n_steps: object, n_files: int) -> None:
    folder = write(tmp_path / "a", [STEP] * n_files, summary=DONE | {"n_steps": n_steps}, args=ARGS)
    assert read_episode(folder).complete


@pytest.mark.parametrize("n_files", [2, 3, 5])
def test_a_part_of_a_run_and_what_another_run_left_are_set_aside(tmp_path: Path, n_files: int) -> None:
    folder = write(tmp_path / "a", [STEP] * n_files, summary=DONE | {"n_steps": 3}, args=ARGS)
    with pytest.raises(Unreadable, match=f"counts 3 steps, which are 4 step files; there are {n_files}"):
        read_episode(folder)
    crashed = write(tmp_path / "b", [STEP] * n_files, summary=DONE | {"n_steps": 3, "err_msg": "boom"}, args=ARGS)
    assert read_episode(crashed).error == "boom"


def test_a_run_that_hung_has_no_page_after_its_last_decision(tmp_path: Path) -> None:
    hung = {"n_steps": 3, "terminated": False, "truncated": True, "cum_reward": 0}
    assert read_episode(write(tmp_path / "a", [STEP] * 3, summary=DONE | hung, args=ARGS)).truncated


@pytest.mark.parametrize(
    ("recorded", "seed"), [(7, 7), ("7", 7), ("-3", -3), (7.0, 7), (7.5, -1), (float("nan"), -1), ("x", -1), (True, -1), (None, -1)]
)  # fmt: skip
def test_a_seed_is_a_whole_number_however_it_was_written(tmp_path: Path, recorded: object, seed: int) -> None:
    args = ARGS | {"env_args": {"task_name": "miniwob.click-test", "task_seed": recorded}}
    assert read_episode(write(tmp_path / "a", [STEP], summary=DONE, args=args)).seed == seed


def test_only_regular_files_within_the_folder_are_read(tmp_path: Path) -> None:
    def replaced(name: str) -> Path:
        folder = write(tmp_path / name, [STEP, LAST], summary=DONE, args=ARGS).folder
        path = folder / ("summary_info.json" if name == "device" else "step_1.pkl.gz")
        path.unlink()
        return path

    os.mkfifo(replaced("fifo"))
    replaced("device").symlink_to("/dev/zero")
    replaced("outside").symlink_to(tmp_path / "fifo" / "step_0.pkl.gz")
    replaced("dangling").symlink_to("nowhere")
    loop = replaced("loop")
    loop.symlink_to(loop.name)
    replaced("folder").mkdir()
    reasons = {}
    for found in find_episodes([tmp_path]):
        with pytest.raises(Unreadable) as raised:
            read_episode(found)
        reasons[found.source] = str(raised.value).split(" ", 1)[1]
    outside = "is a link to a file outside of its folder: copy the files themselves"
    assert reasons["device"] == reasons["outside"] == outside
    assert reasons["fifo"] == reasons["folder"] == "is no regular file"
    assert all(reasons[name].startswith("cannot be read") for name in ("dangling", "loop"))
    inside = write(tmp_path / "inside", [STEP, LAST], summary=DONE, args=ARGS)
    (inside.folder / "step_1.pkl.gz").rename(inside.folder / "kept")
    (inside.folder / "step_1.pkl.gz").symlink_to("kept")
    assert len(read_episode(inside).steps) == 1


def test_a_link_to_episodes_elsewhere_is_named_and_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "run", [STEP, LAST], summary=DONE, args=ARGS)
    write(tmp_path / "root" / "own", [STEP, LAST], summary=DONE, args=ARGS)
    (tmp_path / "root" / "study").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "again").symlink_to(tmp_path / "root" / "own")
    (tmp_path / "root" / "top").symlink_to("/")
    own, link = find_episodes([tmp_path / "root"])
    assert read_episode(own).steps and link.source == "study"
    with pytest.raises(Unreadable, match=r"study is a link to a folder elsewhere.*copy that folder"):
        read_episode(link)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "run").symlink_to(tmp_path / "elsewhere" / "run")
    with pytest.raises(UserError, match="run is a link to a folder elsewhere"):
        find_episodes([tmp_path / "links"])


def test_odd_names_are_no_step_files_and_no_end(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", [STEP, LAST], summary=DONE, args=ARGS).folder
    for name in ("step_\u00b2.pkl.gz", "step_1.pkl.gz.bak", "step_.pkl", "xstep_2.pkl"):
        (folder / name).write_bytes(b"x")
    folder.rename(tmp_path / os.fsdecode(b"odd\xff"))
    (found,) = find_episodes([tmp_path])
    assert found.source == "odd\\xff" and len(read_episode(found).steps) == 1


def test_superseded_runs_are_no_episodes(tmp_path: Path) -> None:
    for name in ("study/_2025-01-01_run", "study/2025-01-01_run", "_study/run"):
        write(tmp_path / name, [STEP], summary=DONE, args=ARGS)
    assert [found.source for found in find_episodes([tmp_path])] == ["_study/run", "study/2025-01-01_run"]


def test_a_limit_on_time_ends_an_episode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentmerge_hub.traces import episode
    from agentmerge_hub.traces.formats import browsergym

    def endless(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr(browsergym, "load", endless)
    monkeypatch.setattr(episode, "time_limit", lambda: time_limit(0.2))
    with time_limit(60):
        with pytest.raises(Unreadable, match=r"takes longer than 0.2 s"):
            read_episode(write(tmp_path / "a", [STEP], summary=DONE, args=ARGS))
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 60  # the limit around it goes on


def test_a_limit_on_memory_is_an_ordinary_error() -> None:
    with memory_limit(64 * 2**20), pytest.raises(MemoryError):
        bytearray(2**30)
    assert len(bytearray(2**28)) == 2**28


def test_the_teacher_of_a_tool_use_agent(tmp_path: Path) -> None:
    args = ARGS | {"agent_args": {"agent_name": "ToolUse", "model_args": {"model_name": "gpt-4.1"}}}
    assert read_episode(write(tmp_path / "a", [STEP], summary=DONE, args=args)).teacher == "gpt-4.1"


def test_what_was_executed_is_kept_where_no_call_can_be_read(tmp_path: Path) -> None:
    episode = read_episode(write(tmp_path / "a", [STEP | {"action": "page.reload()"}], summary=DONE, args=ARGS))
    assert (episode.steps[0].action, episode.steps[0].executed) == (None, "page.reload()")


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
    with pytest.raises(
        UserError,
        match=r"study.pkl.gz is no file of trajectories: give the folder of the traces .* a .json or .jsonl file .* of CUBE, ATIF",
    ):
        find_episodes([tmp_path / "root/study/study.pkl.gz"])
    with pytest.raises(UserError, match="no folder"):
        find_episodes([tmp_path / "nowhere"])


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, permissions_obeyed: None, mode: int) -> None:
    """Any number of episodes may be in it."""
    write(tmp_path / "root/study/a", [STEP, LAST], summary=DONE, args=ARGS)
    write(tmp_path / "root/b", [STEP, LAST], summary=DONE, args=ARGS)
    for folder in (tmp_path / "root/study", tmp_path / "root"):
        folder.chmod(mode)
        with pytest.raises(
            UserError, match=rf"^the folder {folder} cannot be read \(Permission denied\), and any .*: change"
        ):
            find_episodes([tmp_path / "root"])
        folder.chmod(0o755)


@pytest.mark.parametrize("name", ["exp_args.pkl", "step_0.pkl.gz", "summary_info.json"])
def test_a_file_without_permission_sets_its_episode_aside(tmp_path: Path, permissions_obeyed: None, name: str) -> None:
    found = write(tmp_path / "a", [STEP, LAST], summary=DONE, args=ARGS)
    (found.folder / name).chmod(0)
    with pytest.raises(Unreadable, match=rf"^{name} cannot be read \(Permission denied\)$"):
        read_episode(found)


@pytest.mark.parametrize("name", ["trajectory.json", "run.jsonl", "run.jsonl.gz"])
def test_a_file_of_trajectories_without_permission_is_an_entry_with_its_reason(
    tmp_path: Path, permissions_obeyed: None, name: str
) -> None:
    (tmp_path / name).write_text('{"schema_version": "ATIF-v1.4"}')
    (tmp_path / name).chmod(0)
    for root in (tmp_path, tmp_path / name):
        (found,) = find_episodes([root])
        with pytest.raises(Unreadable, match=rf"^{name} cannot be read \(Permission denied\)$"):
            read_episode(found)


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
     ("<action>noop()</action>", None), ("noop()", None), ("<thinking>I look.</thinking>", "I look."), ("<thinking></thinking>", None),
     ("<THINK>\n</THINK>", None), ("\u200b", None), ("I look.\n</think>", "I look."), ("[THINK]I look.[/THINK]", "I look.")],
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


def test_answers_before_the_page_are_turns_of_the_prompt() -> None:
    page, user = "RootWebArea 'Shop'\n\t[13] button 'Send'\n\t[14] link 'Back'\n\t[15] link 'Help'", {"role": "user"}
    example, bad, shown = (
        user | {"content": "An example."},
        {"role": "assistant", "content": "Well."},
        user | {"content": page},
    )
    chat = read_chat([SYSTEM, example, GOOD, shown, bad, user | {"content": "Again."}, GOOD], page=page)
    assert [turn["content"] for turn in chat.prompt] == [turn["content"] for turn in (SYSTEM, example, GOOD, shown)]
    assert (chat.answer, chat.retries, chat.refused) == (GOOD["content"], 1, ("Well.",))


def test_reasoning_that_the_server_took_out_is_part_of_the_answer() -> None:
    chat = read_chat([SYSTEM, USER, GOOD | {"reasoning_content": "I look."}])
    assert chat.answer == "<think>\nI look.\n</think>\n\ngood"
    for recorded in ("<think>I look.</think>", "\nI look.\n", "[THINK]I look.[/THINK]"):
        assert read_chat([SYSTEM, USER, GOOD | {"reasoning": recorded}]).answer == chat.answer
    for empty in ("<think>\n</think>", "\u200b", " ", None, ["I look."]):
        assert read_chat([SYSTEM, USER, GOOD | {"reasoning_content": empty}]).answer == "good"
    blocks: tuple[dict, ...] = (
        {"thinking_blocks": [{"type": "thinking", "thinking": "I look.", "signature": "x"}]},
        {
            "reasoning_details": [
                {"type": "reasoning.text", "text": "I look."},
                {"type": "reasoning.encrypted", "data": "x"},
            ]
        },
        {"reasoning": [{"type": "summary_text", "text": "I look."}]},
        {"content": [{"type": "thinking", "thinking": "I look."}, {"type": "text", "text": "good"}]},
        {"role": "model", "reasoning": "I look."},
    )
    for block in blocks:
        assert read_chat([SYSTEM, USER, GOOD | block]).answer == chat.answer
    twice = GOOD | {"content": "<thinking>I look.</thinking>good", "reasoning_content": "I look."}
    assert read_chat([SYSTEM, USER, twice]).answer == twice["content"]


def test_a_chat_with_pictures_or_tool_calls_is_not_taken_for_text() -> None:
    picture = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:…"}}]}
    assert read_chat([SYSTEM, picture, GOOD]).prompt == ()
    assert read_chat([SYSTEM, GOOD | {"tool_calls": [{"function": {"name": "click"}}]}]).answer == ""


def test_real_traces(real_traces: Path) -> None:
    episodes = [read_episode(found) for found in find_episodes([real_traces])]
    assert len(episodes) == 27 and len({episode.episode_id for episode in episodes}) == 27
    assert all(episode.task and episode.seed >= 0 and episode.teacher.startswith("gpt-4o") for episode in episodes)
    assert all(step.observation.goal and step.action for episode in episodes for step in episode.steps)
    agentlab = [episode for episode in episodes if episode.benchmark == "miniwob"]
    assert all(step.messages and "<action>" in step.answer for episode in agentlab for step in episode.steps)
    assert sum(episode.error != "" for episode in episodes) == 3
    assert sum(not episode.complete for episode in episodes) == 2


@pytest.mark.parametrize("text", ["`", " ", "\n", "```python\n", "<action>", "</think>", "a.", "click("])
def test_long_actions_are_read_in_linear_time(text: str) -> None:
    long = text * (200_000 // len(text))  # with quadratic work this would not end
    assert read_action(f"{long} x click('1')").action == "click('1')"
