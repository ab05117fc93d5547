"""Read an episode folder of BrowserGym's experiment loop, as AgentLab and BrowserGym of every version write it."""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentmerge_hub.files.content_hash import short_id
from agentmerge_hub.prompt import thought_of
from agentmerge_hub.records import Episode, Message, Step
from agentmerge_hub.traces.files import Refused, check_total, read_file
from agentmerge_hub.traces.formats.answers import Chat, read_action, read_chat, read_thought
from agentmerge_hub.traces.observation.axtree import TreeError
from agentmerge_hub.traces.observation.observations import goal_text, has_image, read_observation
from agentmerge_hub.traces.observation.screenshots import file_name, has_marks, read_screenshot
from agentmerge_hub.traces.options import ReadOptions
from agentmerge_hub.traces.pickles.unpickle import load
from agentmerge_hub.traces.values import (
    OutOfRange,
    as_bool,
    as_count,
    as_date,
    as_dict,
    as_json,
    as_reward,
    as_seconds,
    as_seed,
    as_text,
    as_texts,
    first_line,
)

MAX_SUMMARY_BYTES = 16 * 2**20

_STEP_FILE = re.compile(r"step_([0-9]{1,9})\.pkl(?:\.gz)?")


def is_episode(files: list[str]) -> bool:
    """Whether a folder with these files is an episode."""
    return "exp_args.pkl" in files or any(map(_STEP_FILE.fullmatch, files))


def is_superseded(folder: Path) -> bool:
    """Whether AgentLab renamed the episode's folder because it ran the episode again."""
    return folder.name.startswith("_")


def read(folder: Path, source: str, options: ReadOptions) -> Episode:
    """Read one episode folder.

    A screenshot that is missing or damaged is left out, with its reason in the step.

    Raises:
        Refused: naming the file and the reason.
    """
    hashes: dict[str, str] = {}
    arguments_file = folder / "exp_args.pkl"
    arguments = as_dict(_load(arguments_file, hashes)) if _exists(arguments_file) else {}
    summary = _summary(folder / "summary_info.json", hashes)
    goal_file = folder / "goal_object.pkl.gz"
    goal = _load(goal_file, hashes) if _exists(goal_file) else None
    agent_args, env_args = as_dict(arguments.get("agent_args")), as_dict(arguments.get("env_args"))
    run = _Run(goal, agent_args, options)
    files = _step_files(folder)
    _check_number_of_steps(len(files), summary)
    for number, path in files:
        info = as_dict(_load(path, hashes))
        try:
            run.add(number, info)
        except (OutOfRange, TreeError) as error:
            raise Refused(f"{path.name} {error}") from None
    task, seed = _task_and_seed(folder, env_args)
    try:
        reward = run.reward if summary.get("cum_reward") is None else as_reward(summary["cum_reward"])
    except OutOfRange as error:
        raise Refused(f"summary_info.json {error}") from None
    return Episode(
        episode_id=digest(hashes),
        source=source,
        benchmark=task.split(".")[0],
        task=task,
        seed=seed,
        agent=as_text(agent_args.get("agent_name")) or getattr(agent_args, "kind", "").rpartition(".")[2],
        teacher=_teacher(agent_args, run.first),
        reward=reward,
        terminated=as_bool(summary["terminated"]) if "terminated" in summary else run.terminated,
        truncated=as_bool(summary["truncated"]) if "truncated" in summary else run.truncated,
        error=first_line(summary.get("err_msg") or arguments.get("err_msg")),
        complete=bool(summary),
        flags=run.flags,
        action_space=_action_space(agent_args),
        date=as_date(arguments.get("exp_date")) or _date_of(folder.name),
        steps=tuple(
            run.steps
            if options.screenshots == "off"
            else (_with_screenshot(folder, step, run.marks) for step in run.steps)
        ),
        final_urls=run.urls,
        image_goal=run.image_goal,
    )


class _Run:
    """The step files of one run, in order. Of each only what an Episode needs is kept."""

    def __init__(self, goal: Any, agent_args: dict[str, Any], options: ReadOptions) -> None:
        self.agent_args, self.options = agent_args, options
        self.flags = _flags(agent_args, {})
        self.marks = has_marks(options.screenshots, self.flags)
        self.goal = goal_text(goal)
        self.image_goal = has_image(goal)
        self.first: dict[str, Any] = {}
        """``agent_info`` of the first step."""
        self.steps: list[Step] = []
        self.reward = 0.0
        self.terminated = self.truncated = False
        self.urls: tuple[str, ...] = ()

    def add(self, number: int, info: dict[str, Any]) -> None:
        obs = as_dict(info.get("obs"))
        if number == 0:
            self.first = as_dict(info.get("agent_info"))
            self.flags = _flags(self.agent_args, self.first)
            self.marks = has_marks(self.options.screenshots, self.flags)
        self.reward += _step_reward(info)
        self.terminated |= as_bool(info.get("terminated"))
        self.truncated |= as_bool(info.get("truncated"))
        self.urls = as_texts(obs.get("open_pages_urls"))
        self.image_goal |= has_image(obs.get("goal_object")) or bool(as_texts(obs.get("goal_image_urls")))
        if _is_decision(info):
            picture = "" if self.options.screenshots == "off" else file_name(number, marks=self.marks)
            self.steps.append(_step(number, info, self.goal, picture, self.options))


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _load(path: Path, hashes: dict[str, str]) -> Any:
    try:
        value, hashes[path.name] = load(path)
    except Refused as refused:
        raise Refused(f"{path.name} {refused}") from None
    return value


def _step_files(folder: Path) -> list[tuple[int, Path]]:
    """The step files with their numbers, in order."""
    numbered = sorted((int(m[1]), path) for path in folder.iterdir() if (m := _STEP_FILE.fullmatch(path.name)))
    if [number for number, _ in numbered] != list(range(len(numbered))):
        raise Refused("step files have gaps: a step is missing or there twice")
    check_total(path for _, path in numbered)
    return numbered


def _check_number_of_steps(n_files: int, summary: dict[str, Any]) -> None:
    """Compare the files with the number of decisions that BrowserGym wrote at the end of a run: there is one file more, with the
    page after the last. Fewer are a part of the run, more are left from another run. A run that crashed can have lost its last
    decision, and one that hung has no page after it."""
    n_steps = summary.get("n_steps")
    if type(n_steps) is not int or summary.get("err_msg"):
        return
    if not n_steps + as_bool(summary.get("terminated")) <= n_files <= n_steps + 1:
        raise Refused(
            f"summary_info.json counts {n_steps} steps, which are {n_steps + 1} step files; there are {n_files}"
        )


def _summary(path: Path, hashes: dict[str, str]) -> dict[str, Any]:
    if not _exists(path):
        return {}
    try:
        data = read_file(path, MAX_SUMMARY_BYTES)
        hashes[path.name] = hashlib.sha256(data).hexdigest()
        return as_dict(json.loads(data))
    except Refused as refused:
        raise Refused(f"{path.name} {refused}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not JSON ({str(error)[:80]})") from None


def digest(hashes: dict[str, str]) -> str:
    """The identity of an episode: a hash of the names and hashes of its files."""
    return short_id("".join(f"{name}\0{sha}\n" for name, sha in sorted(hashes.items())))


def _is_decision(info: dict[str, Any]) -> bool:
    """The last step of a run that ended holds the page after it and no action; a run that crashed ends on an empty one."""
    if not as_dict(info.get("obs")):
        return False
    return info.get("action") is not None or bool(as_dict(info.get("agent_info")))


def _with_screenshot(folder: Path, step: Step, marks: bool) -> Step:
    try:
        screenshot = read_screenshot(folder, file_name(step.index, marks=marks))
    except Refused as refused:
        return replace(step, no_screenshot=str(refused))
    return replace(step, observation=replace(step.observation, screenshot=screenshot))


def _step(number: int, info: dict[str, Any], goal: str, picture: str, options: ReadOptions) -> Step:
    obs, agent_info = as_dict(info.get("obs")), as_dict(info.get("agent_info"))
    stats = as_dict(info.get("stats")) | as_dict(agent_info.get("stats"))
    chat = read_chat(
        agent_info.get("chat_messages"), picture, as_text(obs.get("axtree_txt")) or as_text(obs.get("pruned_html"))
    )
    recorded = as_text(info.get("action"))
    executed = read_action(recorded)
    thought = read_thought(agent_info.get("think"), recorded) or executed.thought or thought_of(chat.answer)
    retries = as_count(stats["n_retry"]) if "n_retry" in stats else chat.retries
    messages = _prompt_of(chat, retries)
    is_kept = options.keeps_prompt(messages, has_screenshot=chat.has_picture)
    return Step(
        index=number,
        observation=read_observation(obs, goal, None if is_kept else options.page_flags),
        answer=chat.answer,
        action=executed.action,
        executed=recorded.strip(),
        thought=thought and as_text(thought),
        messages=messages,
        prompt_has_screenshot=bool(messages) and chat.has_picture,
        reward=_step_reward(info),
        terminated=as_bool(info.get("terminated")),
        truncated=as_bool(info.get("truncated")),
        parse_retries=retries,
        refused_answers=chat.refused if messages else (),
        prompt_tokens=as_count(stats.get("input_tokens")),
        completion_tokens=as_count(stats.get("output_tokens")),
        agent_seconds=as_seconds(stats.get("agent_elapsed")),
    )


def _step_reward(info: dict[str, Any]) -> float:
    """The reward of one step. A task of one's own may give true and false, which BrowserGym adds up as 1 and 0."""
    reward = info.get("reward")
    return float(reward) if isinstance(reward, bool) else as_reward(reward)


def _prompt_of(chat: Chat, retries: int) -> tuple[Message, ...]:
    """The recorded prompt. More answers than retries mean an agent that talks over several turns: then there is no one
    prompt, and it has to be rendered from the observation."""
    several_turns = chat.retries > 0 and chat.retries != retries
    return () if several_turns or not chat.answer else chat.prompt


_FOLDER_NAME = re.compile(r"_on_(.+?)_(-?[0-9]{1,18})(?:_[0-9a-f]+)?$")


def _task_and_seed(folder: Path, env_args: dict[str, Any]) -> tuple[str, int]:
    """From the experiment's arguments, else from the folder's name: ``<date>_<agent>_on_<task>_<seed>``."""
    task = as_text(env_args.get("task_name"))
    try:
        seed = as_seed(env_args.get("task_seed"))
    except OutOfRange as error:
        raise Refused(f"exp_args.pkl {error}") from None
    named = _FOLDER_NAME.search(folder.name)
    if not task and named:
        task, seed = named[1], int(named[2])
    if not task:
        raise Refused("exp_args.pkl is missing and the folder's name does not say which task was run")
    return task, seed


def _teacher(agent_args: dict[str, Any], agent_info: dict[str, Any]) -> str:
    """Name of the model that answered, wherever this version recorded it; empty if nowhere."""
    extra = as_dict(agent_info.get("extra_info"))
    places = [as_dict(agent_args.get(key)) for key in ("chat_model_args", "model_args")] + [agent_args]
    places += [as_dict(extra.get("chat_model_args")), as_dict(agent_info.get("chat_model_args"))]
    places += [as_dict(agent_info.get("model_info")), extra]
    names = (as_text(place.get(key)) for place in places for key in ("model_name", "model_path", "model"))
    return next((name for name in names if name), "")


def _flags(agent_args: dict[str, Any], agent_info: dict[str, Any]) -> dict[str, Any]:
    """The flags of the prompt, as JSON values, nested as recorded."""
    for place in (agent_args, as_dict(agent_info.get("extra_info"))):
        if flags := as_json(as_dict(place.get("flags"))):
            return flags
    return {name: value for name, value in agent_args.items() if name.startswith("use_") and isinstance(value, bool)}


def _action_space(agent_args: dict[str, Any]) -> str:
    flags = as_dict(agent_args.get("flags"))
    if name := as_text(flags.get("action_space")):
        return name
    action = as_dict(flags.get("action"))
    subsets = as_dict(action.get("action_set")).get("subsets") or as_dict(agent_args.get("action_set_args")).get(
        "subsets"
    )
    return "+".join(as_texts(subsets))


def _date_of(folder: str) -> str:
    named = re.match(r"([0-9]{4}-[0-9]{2}-[0-9]{2})_([0-9]{2})-([0-9]{2})-([0-9]{2})", folder)
    return f"{named[1]}T{named[2]}:{named[3]}:{named[4]}" if named else ""
