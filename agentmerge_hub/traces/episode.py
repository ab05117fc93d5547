"""One episode folder → `records.Episode`. Old and new layouts of BrowserGym's and AgentLab's results are read alike."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from agentmerge_hub.prompt import thought_of
from agentmerge_hub.records import Episode, Message, Observation, Step
from agentmerge_hub.traces.answers import Chat, read_action, read_chat, read_thought
from agentmerge_hub.traces.find import Found, step_files
from agentmerge_hub.traces.standins import Array, Refused
from agentmerge_hub.traces.unpickle import load

MAX_SUMMARY_BYTES = 16 * 2**20


class Unreadable(ValueError):
    """A file of an episode cannot be used; the episode is set aside and the others go on."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file} {reason}")


def read_episode(found: Found) -> Episode:
    """Read one episode folder.

    Raises:
        Unreadable: naming the file and the reason.
    """
    hashes: dict[str, str] = {}
    arguments_file = found.folder / "exp_args.pkl"
    arguments = _dict(_load(arguments_file, hashes)) if arguments_file.exists() else {}
    summary = _summary(found.folder / "summary_info.json", hashes)
    goal_file = found.folder / "goal_object.pkl.gz"
    goal = _goal_text(_load(goal_file, hashes)) if goal_file.exists() else ""
    numbered = step_files(found.folder)
    if [number for number, _ in numbered] != list(range(len(numbered))):
        raise Unreadable("step files", "have gaps: a step is missing")
    loaded = [_load(path, hashes) for _, path in numbered]
    infos = [_dict(info) for info in loaded]
    steps = tuple(_step(number, info, goal) for number, info in enumerate(infos) if _is_decision(info))
    agent_args, env_args = _dict(arguments.get("agent_args")), _dict(arguments.get("env_args"))
    task, seed = _task_and_seed(found, env_args)
    return Episode(
        episode_id=_digest(hashes),
        source=found.source,
        benchmark=task.split(".")[0],
        task=task,
        seed=seed,
        agent=_str(agent_args.get("agent_name")) or getattr(agent_args, "kind", "").rpartition(".")[2],
        teacher=_teacher(agent_args, infos),
        reward=_number(summary.get("cum_reward", sum(_number(info.get("reward")) for info in infos))),
        terminated=bool(summary.get("terminated", any(info.get("terminated") for info in infos))),
        truncated=bool(summary.get("truncated", any(info.get("truncated") for info in infos))),
        error=_first_line(summary.get("err_msg") or arguments.get("err_msg")),
        complete=bool(summary),
        flags=_flags(agent_args, infos),
        action_space=_action_space(agent_args),
        date=_date(arguments.get("exp_date"), found.folder.name),
        steps=steps,
        final_urls=_texts(_dict(infos[-1].get("obs")).get("open_pages_urls")) if infos else (),
    )


def _load(path: Path, hashes: dict[str, str]) -> Any:
    try:
        value, hashes[path.name] = load(path)
    except Refused as refused:
        raise Unreadable(path.name, str(refused)) from None
    return value


def _summary(path: Path, hashes: dict[str, str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        data = path.read_bytes()
        if len(data) > MAX_SUMMARY_BYTES:
            raise Unreadable(path.name, f"is larger than {MAX_SUMMARY_BYTES // 2**20} MB")
        hashes[path.name] = hashlib.sha256(data).hexdigest()
        return _dict(json.loads(data))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(path.name, f"is not JSON ({str(error)[:80]})") from None


def _digest(hashes: dict[str, str]) -> str:
    return hashlib.sha256("".join(f"{name}\0{sha}\n" for name, sha in sorted(hashes.items())).encode()).hexdigest()[:16]


def _is_decision(info: dict[str, Any]) -> bool:
    """The last step of a run that ended holds the page after it and no action; a run that crashed ends on an empty one."""
    if not _dict(info.get("obs")):
        return False
    return info.get("action") is not None or bool(_dict(info.get("agent_info")))


def _step(number: int, info: dict[str, Any], goal: str) -> Step:
    obs, agent_info = _dict(info.get("obs")), _dict(info.get("agent_info"))
    stats = _dict(info.get("stats")) | _dict(agent_info.get("stats"))
    chat = read_chat(agent_info.get("chat_messages"))
    recorded = info.get("action")
    executed = read_action(_str(recorded))
    thought = read_thought(agent_info.get("think"), _str(recorded)) or executed.thought or thought_of(chat.answer)
    retries = stats.get("n_retry", chat.retries)
    prompt = _prompt_of(chat, retries)
    return Step(
        index=number,
        observation=_observation(obs, goal),
        answer=chat.answer,
        action=executed.action,
        thought=thought,
        messages=prompt,
        reward=_number(info.get("reward")),
        terminated=bool(info.get("terminated")),
        truncated=bool(info.get("truncated")),
        parse_retries=int(_number(retries)),
        refused_answers=chat.refused if prompt else (),
        prompt_tokens=int(_number(stats.get("input_tokens"))),
        completion_tokens=int(_number(stats.get("output_tokens"))),
        agent_seconds=_number(stats.get("agent_elapsed")),
    )


def _prompt_of(chat: Chat, retries: Any) -> tuple[Message, ...]:
    """The recorded prompt. More answers than retries mean an agent that talks over several turns: then there is no one
    prompt, and it has to be rendered from the observation."""
    several_turns = chat.retries > 0 and chat.retries != int(_number(retries))
    return () if several_turns or not chat.answer else chat.prompt


def _observation(obs: dict[str, Any], goal: str) -> Observation:
    urls, titles, active = _texts(obs.get("open_pages_urls")), _texts(obs.get("open_pages_titles")), _active(obs)
    return Observation(
        goal=_goal_text(obs.get("goal_object")) or _str(obs.get("goal")) or goal or _asked_in_chat(obs),
        axtree=_str(obs.get("axtree_txt")),
        html=_str(obs.get("pruned_html")),
        focused_bid=_str(obs["focused_element_bid"]) if "focused_element_bid" in obs else None,
        last_action=_str(obs.get("last_action")),
        last_action_error=_str(obs.get("last_action_error")),
        url=_str(obs.get("url")) or (urls[active] if active < len(urls) else ""),
        title=titles[active] if active < len(titles) else "",
    )


def _active(obs: dict[str, Any]) -> int:
    index = obs.get("active_page_index")
    values = index.values_read() if isinstance(index, Array) else [index]
    return values[0] if values and isinstance(values[0], int) and values[0] >= 0 else 0


def _goal_text(goal: Any) -> str:
    parts = goal if isinstance(goal, list | tuple) else ()
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def _asked_in_chat(obs: dict[str, Any]) -> str:
    """The goal of traces from before it was an observation: the user's first chat message."""
    chat = obs.get("chat_messages")
    turns = chat if isinstance(chat, list | tuple) else ()
    return next(
        (_str(turn.get("message")) for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"), ""
    )


def _task_and_seed(found: Found, env_args: dict[str, Any]) -> tuple[str, int]:
    """From the experiment's arguments, else from the folder's name: ``<date>_<agent>_on_<task>_<seed>``."""
    task, seed = _str(env_args.get("task_name")), env_args.get("task_seed")
    named = re.search(r"_on_(.+?)_(-?\d+)(?:_[0-9a-f]+)?$", found.folder.name)
    if not task and named:
        task, seed = named[1], int(named[2])
    if not task:
        raise Unreadable("exp_args.pkl", "is missing and the folder's name does not say which task was run")
    return task, seed if isinstance(seed, int) else -1


def _teacher(agent_args: dict[str, Any], infos: list[dict[str, Any]]) -> str:
    """Name of the model that answered, wherever this version kept it; empty if nowhere."""
    places = [_dict(agent_args.get("chat_model_args")), agent_args]
    for info in infos[:1]:
        agent_info = _dict(info.get("agent_info"))
        extra = _dict(agent_info.get("extra_info"))
        places += [_dict(extra.get("chat_model_args")), _dict(agent_info.get("chat_model_args"))]
        places += [_dict(agent_info.get("model_info")), extra]
    names = (_str(place.get(key)) for place in places for key in ("model_name", "model_path", "model"))
    return next((name for name in names if name), "")


def _flags(agent_args: dict[str, Any], infos: list[dict[str, Any]]) -> dict[str, Any]:
    """What the prompt was configured to show, as JSON values, nested as recorded."""
    if flags := _plain(_dict(agent_args.get("flags"))):
        return flags
    extra = _dict(_dict(infos[0].get("agent_info")).get("extra_info")) if infos else {}
    if flags := _plain(_dict(extra.get("flags"))):
        return flags
    return {name: value for name, value in agent_args.items() if name.startswith("use_") and isinstance(value, bool)}


def _plain(value: Any, depth: int = 0) -> Any:
    if isinstance(value, dict) and depth < 4:
        return {str(key): _plain(inner, depth + 1) for key, inner in list(value.items())[:40]}
    if isinstance(value, list | tuple) and depth < 4:
        return [_plain(inner, depth + 1) for inner in value[:20]]
    return value if isinstance(value, str | int | float | bool | None) else str(type(value).__name__)


def _action_space(agent_args: dict[str, Any]) -> str:
    flags = _dict(agent_args.get("flags"))
    if name := _str(flags.get("action_space")):
        return name
    action = _dict(flags.get("action"))
    subsets = _dict(action.get("action_set")).get("subsets") or _dict(agent_args.get("action_set_args")).get("subsets")
    return "+".join(_texts(subsets))


def _date(date: Any, folder: str) -> str:
    if hasattr(date, "isoformat"):
        return date.isoformat(timespec="seconds")
    named = re.match(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)", folder)
    return f"{named[1]}T{named[2]}:{named[3]}:{named[4]}" if named else ""


def _first_line(text: Any) -> str:
    return " ".join(_str(text).split("\n")[:3])[:300].strip().encode(errors="replace").decode()


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
