"""Read trajectories of CUBE (cube-harness), in each of its three layouts. No class that a file names is imported.

V1 is ``<id>.jsonl`` beside ``<id>.metadata.json``; V2 is a folder with ``episode.metadata.json`` and ``events/`` or
``steps/`` of zstd-compressed msgpack. An observation is recorded after its action: it is the page of the next decision.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import thought_of
from agentmerge_hub.records import Episode
from agentmerge_hub.traces.files import FREE_BYTES, MAX_BYTES, MAX_RATIO, Refused, check_total, read_file
from agentmerge_hub.traces.formats.browsergym import digest
from agentmerge_hub.traces.formats.tool_calls import Turns, call_text
from agentmerge_hub.traces.values import (
    OutOfRange,
    as_bool,
    as_count,
    as_dict,
    as_json,
    as_reward,
    as_seconds,
    as_seed,
    as_text,
    as_texts,
    first_line,
)

_NUMBERED = re.compile(r"([0-9]{3,9})_(obs|act|llm|tool_call|eval|agent_error|agent)\.msgpack\.zst")
_NOT_FINISHED = {"FAILED", "CANCELLED", "STALE", "INVALID_CONFIG", "QUEUED", "RUNNING"}


def is_episode(files: list[str]) -> bool:
    """Whether a folder with these files is an episode of the V2 layouts."""
    return "episode.metadata.json" in files


def is_trajectory(name: str, files: list[str]) -> bool:
    """Whether a file is an episode of the V1 layout."""
    return name.endswith(".jsonl") and name.removesuffix(".jsonl") + ".metadata.json" in files


def read(path: Path, source: str) -> Episode:
    """Read one episode: a folder of V2, or a ``.jsonl`` file of V1.

    Raises:
        Refused: naming the file and the reason.
        OutOfRange: for a value that must not be guessed.
    """
    hashes: dict[str, str] = {}
    v1 = path.suffix == ".jsonl"
    metadata = _json(path.with_suffix(".metadata.json") if v1 else path / "episode.metadata.json", hashes)
    status = {} if v1 else _json(path / "status.json", hashes)
    config = {} if v1 else _json(path / "episode_config.json", hashes)
    facts = as_dict(metadata.get("metadata"))
    run = _Run(as_text(facts.get("goal")))
    for kind, event in _lines(path, hashes) if v1 else _events(path, hashes):
        run.add(kind, event)
    task_config, reward_info = as_dict(config.get("task_config")), as_dict(metadata.get("reward_info"))
    reward = reward_info.get("reward", run.reward)
    ended = as_text(status.get("status"))
    task = as_text(facts.get("task_id")) or as_text(status.get("task_id"))
    if not task:
        raise Refused("the metadata do not say which task was run")
    benchmark = _benchmark(task, task_config, path)
    known = reward is not None and metadata.get("end_time") is not None and ended not in _NOT_FINISHED
    tools = as_dict(task_config.get("tool_config"))
    return Episode(
        episode_id=digest(hashes),
        source=source,
        benchmark=benchmark,
        task=task if "." in task else f"{benchmark}.{task}",
        seed=as_seed(facts.get("seed")),
        agent=as_text(facts.get("agent_name")),
        teacher=run.teacher
        or as_text(as_dict(as_dict(config.get("agent_config")).get("llm_config")).get("model_name")),
        reward=as_reward(reward),
        terminated=as_bool(reward_info.get("done")),
        truncated=ended == "MAX_STEPS_REACHED" or run.out_of_steps,
        error=first_line(status.get("error_message")) or run.error,
        complete=known,
        flags={key: as_json(tools[key]) for key in sorted(tools) if isinstance(tools[key], bool)},
        action_space="+".join(as_texts(tools.get("action_subsets"))),
        steps=tuple(run.turns.steps),
        unmapped=tuple(sorted(run.unmapped)),
    )


def _benchmark(task: str, task_config: dict[str, Any], path: Path) -> str:
    """From a task's full name, else from the package of its class (miniwob_cube), else the folder of the run."""
    if "." in task:
        return task.split(".")[0]
    package = as_text(task_config.get("_type")).split(".")[0].removesuffix("_cube")
    run = path.parent.parent if path.parent.name in ("episodes", "trajectories") else path.parent
    return package or run.name


class _Run:
    """The events of one run, in order."""

    def __init__(self, goal: str) -> None:
        self.turns = Turns(goal)
        self.teacher = self.error = ""
        self.reward: Any = None
        self.out_of_steps = False
        self.unmapped: set[str] = set()
        self._thinking: dict[str, Any] = {}
        """The answer whose tool calls come next."""
        self._refused = 0
        """Answers since the last decision that led to no call."""
        self._parent = ""
        """The event that the last call answers."""
        self._has_answers = False

    def add(self, kind: str, event: dict[str, Any]) -> None:
        output = as_dict(event.get("output"))
        if "obs" in output and "action" not in output:  # V1 and V2 steps
            self._see(output)
            self.reward = output.get("reward")
        elif "actions" in output:
            calls = [as_dict(call) for call in output["actions"]] if isinstance(output["actions"], list) else []
            llm_calls = output.get("llm_calls")
            for call in llm_calls if isinstance(llm_calls, list) else []:
                self._answer(as_dict(as_dict(call).get("llm_call") or call), event)
            if not self._thinking:
                self._thinking = {
                    "answer": "",
                    "thought": thought_of(as_text(output.get("thoughts")), has_action=False),
                }
            self._decide(calls)
            self._error(as_dict(output.get("error")))
        elif kind == "llm" or "call" in output:
            if self._thinking:
                self._refused += 1
            self._answer(as_dict(output.get("call")), event)
        elif kind == "tool_call" or "action" in output:
            self._tool_call(output)
        elif kind == "eval" or "is_terminal" in output:
            self.reward = output.get("reward")
        elif kind in ("agent_error", "agent") or "error" in output:
            self._error(as_dict(output.get("error")))

    def _answer(self, call: dict[str, Any], event: dict[str, Any]) -> None:
        if as_text(call.get("tag")) not in ("", "act"):
            self.unmapped.add("answers that summarize")
            return
        self.teacher = self.teacher or as_text(as_dict(call.get("llm_config")).get("model_name"))
        message, usage = as_dict(call.get("output")), as_dict(call.get("usage"))
        self._has_answers = True
        text = as_text(message.get("content"))
        started, ended = event.get("start_time"), event.get("end_time")
        seconds = ended - started if isinstance(ended, int | float) and isinstance(started, int | float) else 0.0
        self._thinking = {
            "answer": text,
            "thought": thought_of(as_text(message.get("reasoning_content")), has_action=False)
            or thought_of(text, has_action=False),
            "prompt_tokens": as_count(usage.get("prompt_tokens")),
            "completion_tokens": as_count(usage.get("completion_tokens")),
            "agent_seconds": as_seconds(seconds),
        }
        if call.get("prompt"):
            self.unmapped.add("prompts with tools")

    def _tool_call(self, output: dict[str, Any]) -> None:
        action = as_dict(output.get("action"))
        if as_text(action.get("name")) == "_reset":
            self._see(output)
            return
        parent = as_text(output.get("parent_event_id"))
        is_further = parent == self._parent if parent else self._has_answers
        self._parent = parent
        if (
            self._thinking or not self.turns.steps or not is_further
        ):  # an agent without a model has calls without answers
            self._decide([action])
        else:  # a further call of the same answer
            last = self.turns.steps.pop()
            self.turns.page = last.observation
            facts = {
                key: getattr(last, key)
                for key in ("prompt_tokens", "completion_tokens", "agent_seconds", "parse_retries")
            }
            calls = [last.executed, _call(action)]
            self.turns.act(calls, answer=last.answer, thought=last.thought, **facts)
        self._see(output)

    def _decide(self, actions: list[dict[str, Any]]) -> None:
        self.turns.act(map(_call, actions), parse_retries=self._refused, **self._thinking)
        self._thinking, self._refused = {}, 0

    def _see(self, output: dict[str, Any]) -> None:
        """The contents of an observation: named by the browser's tools, or the outcome of the call."""
        shown: dict[str, str] = {}
        unnamed: list[str] = []
        contents = as_dict(output.get("obs")).get("contents")
        for content in contents if isinstance(contents, list) else []:
            content = as_dict(content)
            data, name = content.get("data"), as_text(content.get("name"))
            if as_text(content.get("_type")).endswith("ImageContent") or as_text(data).startswith("data:image"):
                self.unmapped.add("screenshots")
            elif not isinstance(data, str):
                self.unmapped.add("structured contents")
            elif name:
                shown[name] = as_text(data)
            else:
                unnamed.append(as_text(data))
        if not self.turns.goal and not self.turns.steps and unnamed:
            self.turns.goal = unnamed[0]
        failed = next((text for text in unnamed if text.startswith("Failed: ")), "").removeprefix("Failed: ")
        error = first_line(as_dict(output.get("error")).get("exception_str")) or as_text(shown.get("last_action_error"))
        self.turns.see(
            axtree=shown.get("axtree_txt", ""),
            html=shown.get("pruned_html") or shown.get("html", ""),
            focused_bid=shown.get("focused_element"),
            error=error or failed,
        )

    def _error(self, error: dict[str, Any]) -> None:
        if as_text(error.get("error_type")) == "BudgetExceeded":
            self.out_of_steps = True
        elif error:
            self.error = self.error or first_line(error.get("exception_str") or error.get("error_type"))


def _call(action: dict[str, Any]) -> str:
    return call_text(as_text(action.get("name")), as_dict(action.get("arguments")))


def _json(path: Path, hashes: dict[str, str]) -> dict[str, Any]:
    if not path.exists() and not path.is_symlink():
        return {}
    try:
        data = read_file(path)
        hashes[path.name] = hashlib.sha256(data).hexdigest()
        return as_dict(json.loads(data))
    except Refused as refused:
        raise Refused(f"{path.name} {refused}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not JSON ({str(error)[:80]})") from None


def _lines(path: Path, hashes: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The steps of a V1 file, with the answers that are kept in ``llm_calls/`` put in."""
    try:
        data = read_file(path)
        hashes[path.name] = hashlib.sha256(data).hexdigest()
        for number, line in enumerate(data.decode("utf-8", "replace").split("\n")):
            if line.strip():
                yield "", _with_answers(path, number, as_dict(json.loads(line)), hashes)
    except Refused as refused:
        raise Refused(f"{path.name} {refused}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not JSON lines ({str(error)[:80]})") from None


def _with_answers(path: Path, number: int, event: dict[str, Any], hashes: dict[str, str]) -> dict[str, Any]:
    output = as_dict(event.get("output"))
    calls = output.get("llm_calls")
    for call in calls if isinstance(calls, list) else []:
        name = as_text(as_dict(call).get("llm_call_id"))
        if re.fullmatch(r"[0-9a-zA-Z_-]{1,80}", name):
            folder = path.parent.parent if path.parent.name == "trajectories" else path.parent
            file = folder / "llm_calls" / f"{path.stem}_step{number:03}_{name}.json"
            call["llm_call"] = _json(file, hashes)
    return event


def _events(folder: Path, hashes: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The events, or the steps, of a V2 folder with their kinds, in order."""
    place = folder / "events" if (folder / "events").is_dir() else folder / "steps"
    numbered = []
    for path in place.iterdir() if place.is_dir() else ():
        if name := _NUMBERED.fullmatch(path.name):
            numbered.append((int(name[1]), name[2], path))
    if sorted(number for number, _, _ in numbered) != list(range(len(numbered))):
        raise Refused(f"files in {place.name}/ have gaps: one is missing or there twice")
    check_total(path for _, _, path in numbered)
    for _, kind, path in sorted(numbered):
        try:
            data = read_file(path, within=folder)
            hashes[f"{place.name}/{path.name}"] = hashlib.sha256(data).hexdigest()
            yield kind, as_dict(_unpacked(data))
        except Refused as refused:
            raise Refused(f"{path.name} {refused}") from None


def _unpacked(data: bytes) -> Any:
    try:
        import msgpack
        import zstandard
    except ImportError:
        raise UserError("CUBE trajectories need msgpack and zstandard: pip install 'agentmerge-hub[formats]'") from None
    limit = min(MAX_BYTES, FREE_BYTES + MAX_RATIO * len(data))
    try:
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(data) as reader:
            unpacked = reader.read(limit + 1)
        if len(unpacked) > limit:
            raise Refused(f"is larger than {limit // 2**20} MB unpacked")
        return msgpack.unpackb(unpacked, raw=False, strict_map_key=True, unicode_errors="replace")
    except (zstandard.ZstdError, ValueError, msgpack.UnpackException) as error:
        if isinstance(error, Refused | OutOfRange):
            raise
        raise Refused(f"cannot be unpacked ({str(error)[:80] or type(error).__name__})") from None
