"""An episode as a document of ATIF v1.7.

The page of a decision is the observation before it: the first one is an agent step without an LLM call, as in the Agent Data
Protocol, and the page after the last action is absent because datasets do not hold it.
"""

from typing import Any

from agentmerge_hub.dataset.export.calls import calls_of
from agentmerge_hub.records import Episode, Observation, Step
from agentmerge_hub.traces.formats.episode_json import KEY, to_facts

NOTES = (
    "Exported by agentmerge from a built dataset. `content` of an observation is the AXTree, `extra.web` its HTML and URL. "
    f"Task, seed, reward and what ATIF has no place for are in `extra.{KEY}`."
)


def document(episode: Episode) -> dict[str, Any]:
    """The document of one episode, as a JSON value."""
    pages = [step.observation for step in episode.steps]
    first: dict[str, Any] = {"source": "agent", "message": "", "llm_call_count": 0, "observation": _results(pages[0])}
    steps: list[dict[str, Any]] = [{"source": "user", "message": pages[0].goal}, first]
    for step, page in zip(episode.steps, [*pages[1:], None]):
        steps.append(_decision(step, page, episode.teacher))
    agent = {"name": episode.agent or "unknown", "version": "unknown"}
    return {
        "schema_version": "ATIF-v1.7",
        "session_id": episode.episode_id,
        "trajectory_id": episode.episode_id,
        "agent": agent | ({"model_name": episode.teacher} if episode.teacher else {}),
        "steps": [{"step_id": number} | step for number, step in enumerate(steps, start=1)],
        "notes": NOTES,
        "extra": {KEY: to_facts(episode)},
    }


def _decision(step: Step, page: Observation | None, teacher: str) -> dict[str, Any]:
    made: dict[str, Any] = {"source": "agent", "message": step.answer}
    if teacher:
        made["model_name"] = teacher
    if step.thought:
        made["reasoning_content"] = step.thought
    calls: list[dict[str, Any]] = [
        {"tool_call_id": f"call_{step.index}_{number}", "function_name": name, "arguments": arguments}
        for number, (name, arguments) in enumerate(calls_of(step))
    ]
    if calls:
        made["tool_calls"] = calls
    if page is not None:
        made["observation"] = _results(page, calls[-1]["tool_call_id"] if calls else "")
    return made


def _results(page: Observation, call_id: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {"source_call_id": call_id} if call_id else {}
    return {"results": [result | {"content": page.axtree, "extra": {"web": {"html": page.html, "url": page.url}}}]}
