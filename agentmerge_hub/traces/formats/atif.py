"""Read documents of ATIF, the Agent Trajectory Interchange Format (v1.0 to v1.8), the web dialect of ADP included.

A document says nothing of task, seed and reward: they come from `episode_json` where this package wrote the document, from
Harbor's ``result.json`` beside it, or are unknown; then the episode counts as unfinished. An observation is recorded after
its action: it is the page of the next decision.
"""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from agentmerge_hub.prompt import thought_of
from agentmerge_hub.records import Episode
from agentmerge_hub.traces.files import Refused, read_file
from agentmerge_hub.traces.formats import episode_json
from agentmerge_hub.traces.formats.tool_calls import Turns, call_text, media_of_parts, text_of_parts
from agentmerge_hub.traces.values import as_bool, as_count, as_dict, as_reward, as_text, first_line

_NEWEST_MINOR = 8
_VERSION = re.compile(r"ATIF-v1\.([0-9]{1,4})")


def is_document(document: Any) -> bool:
    """Whether a JSON value is a document of ATIF, of whatever version."""
    return isinstance(document, dict) and as_text(document.get("schema_version")).startswith("ATIF-v")


def read(document: dict[str, Any], source: str, episode_id: str, folder: Path) -> Episode:
    """Read one document.

    Args:
        document: the JSON value.
        source: where it came from, for the Episode.
        episode_id: identity of its content.
        folder: the folder of its file, where Harbor writes ``result.json``.

    Raises:
        Refused: with the reason.
        OutOfRange: for a value that must not be guessed.
    """
    unmapped = set[str]()
    version = as_text(document.get("schema_version"))[:40]
    if not (known := _VERSION.fullmatch(version)):
        raise Refused(
            f"the document is of {version}, which is not known: convert it to ATIF-v1.{_NEWEST_MINOR} or older"
        )
    if int(known[1]) > _NEWEST_MINOR:
        unmapped.add(f"what {version} has beyond ATIF-v1.{_NEWEST_MINOR}")
    steps = [as_dict(step) for step in document["steps"]] if isinstance(document.get("steps"), list) else []
    _check_numbers([step.get("step_id") for step in steps])
    facts = as_dict(document.get("extra")).get(episode_json.KEY)
    if episode_json.is_facts(facts):
        pages = [page for step in steps for page in _pages(step)]
        return episode_json.from_facts(facts, pages, episode_id=episode_id, source=source)
    agent, turns = as_dict(document.get("agent")), Turns()
    teacher = as_text(agent.get("model_name"))
    date, image_goal = "", False
    for step in steps:
        date = date or as_text(step.get("timestamp"))[:19]
        if step.get("is_copied_context") is True:
            unmapped.add("steps copied from an earlier document")
        elif step.get("source") == "user" and not turns.goal:
            turns.goal = text_of_parts(step.get("message"))
            image_goal |= bool(media_of_parts(step.get("message")))
        elif step.get("source") == "agent":
            teacher = teacher or as_text(step.get("model_name"))
            _decision(step, turns, unmapped)
        else:
            unmapped.add("messages after the goal")
        unmapped |= media_of_parts(step.get("message"))
        for axtree, html, error, url in _observations(step, unmapped):
            turns.see(axtree=axtree, html=html, error=error, url=url)
    if document.get("subagent_trajectories"):
        unmapped.add("trajectories of subagents")
    result = _result(folder)
    rewards = as_dict(as_dict(result.get("verifier_result")).get("rewards"))
    reward = rewards.get("reward", next(iter(rewards.values())) if len(rewards) == 1 else None)
    if reward is None and rewards:
        unmapped.add("several rewards, none of which is the run's")
    task = (
        as_text(result.get("task_name"))
        or as_text(document.get("session_id"))
        or as_text(document.get("trajectory_id"))
    )
    return Episode(
        episode_id=episode_id,
        source=source,
        benchmark=task.split(".")[0] if "." in task else as_text(agent.get("name")) or "atif",
        task=task or "unknown",
        seed=-1,
        agent=as_text(agent.get("name")),
        teacher=teacher,
        reward=as_reward(reward),
        terminated=reward is not None and not result.get("exception_info"),
        truncated=False,
        error=first_line(as_dict(result.get("exception_info")).get("exception_message")),
        complete=reward is not None,
        scored=reward is not None or bool(result.get("exception_info")),
        date=date,
        steps=tuple(turns.steps),
        image_goal=image_goal,
        unmapped=tuple(sorted(unmapped)),
    )


def _check_numbers(numbers: list[Any]) -> None:
    """Check that no step is missing, twice or in another place: its page would be taken for that of another decision.

    Raises:
        Refused: naming the first such place.
    """
    for before, number in pairwise(numbers):
        if type(before) is type(number) is int and number != before + 1:
            raise Refused(f"step_id {number} follows step_id {before}: a step is missing, there twice or out of order")


def _decision(step: dict[str, Any], turns: Turns, unmapped: set[str]) -> None:
    """Add an agent's step, if a model was asked."""
    if step.get("llm_call_count") == 0:
        return  # a page that answers no call
    recorded = step.get("tool_calls")
    calls = [
        call_text(as_text(call.get("function_name")), unquoted(as_dict(call.get("arguments")), call))
        for call in map(as_dict, recorded if isinstance(recorded, list) else [])
    ]
    message, metrics = text_of_parts(step.get("message")), as_dict(step.get("metrics"))
    if not calls and (final := finish_message(message)) is not None:
        calls = [call_text("send_msg_to_user", {"text": final})]
    reasoning = thought_of(as_text(step.get("reasoning_content")), has_action=False)
    facts: dict[str, Any] = {
        "answer": message,
        "thought": reasoning or thought_of(message, has_action=not recorded),
        "prompt_tokens": as_count(metrics.get("prompt_tokens")),
        "completion_tokens": as_count(metrics.get("completion_tokens")),
    }
    if calls:
        turns.act(calls, **facts)
    elif message or reasoning:
        turns.act_outside(message, **facts)
    if metrics.get("logprobs") or metrics.get("completion_token_ids"):
        unmapped.add("token ids and log-probabilities")


def unquoted(arguments: dict[str, Any], call: dict[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of ADP, whose texts are quoted twice: ``"\\"149\\""`` is the bid 149."""
    if call is not None and "adp_class" not in as_dict(call.get("extra")):
        return arguments
    found = {}
    for key, value in arguments.items():
        if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
            try:
                value = json.loads(value, strict=False)
            except ValueError:
                value = value[1:-1]
        found[key] = value
    return found


def finish_message(message: str) -> str | None:
    """The text of ADP's last message, ``<finish> … </finish>``; None for any other message."""
    begin, end = message.find("<finish>"), message.rfind("</finish>")
    if begin < 0 or end < begin:
        return None
    return message[begin + 8 : end].strip().strip('"')


def _observations(step: dict[str, Any], unmapped: set[str]) -> list[tuple[str, str, str, str]]:
    """AXTree, HTML, error and URL of each page in a step's results; the last one is the next decision's."""
    found = []
    results = as_dict(step.get("observation")).get("results")
    for result in map(as_dict, results if isinstance(results, list) else []):
        web = as_dict(as_dict(result.get("extra")).get("web"))
        content = text_of_parts(result.get("content"))
        unmapped |= media_of_parts(result.get("content")) | ({"images"} if web.get("image_observation") else set())
        if result.get("subagent_trajectory_ref"):
            unmapped.add("trajectories of subagents")
        if web:
            tree, error = (as_text(web["axtree"]), content) if "axtree" in web else (content, "")
            found.append((tree, as_text(web.get("html")), error, as_text(web.get("url"))))
        elif "RootWebArea" in content[:2000]:
            found.append((content, "", "", ""))
        elif content:
            unmapped.add("results that are no page")
    return found


def _pages(step: dict[str, Any]) -> list[tuple[str, str]]:
    return [(axtree, html) for axtree, html, _, _ in _observations(step, set())]


def _result(folder: Path) -> dict[str, Any]:
    """Harbor's account of the trial: ``<trial>/result.json`` of ``<trial>/agent/trajectory.json``."""
    path = folder.parent / "result.json"
    if folder.name != "agent" or not path.is_file():
        return {}
    try:
        result = as_dict(json.loads(read_file(path)))
    except (Refused, ValueError, RecursionError) as error:
        raise Refused(f"result.json cannot be read ({str(error)[:80]})") from None
    return result if as_bool(bool(result.get("verifier_result") or result.get("exception_info"))) else {}
