"""An episode as a trajectory of the Agent Data Protocol's standard format, 1.2.0."""

import json
from typing import Any

from agentmerge_hub.dataset.export.calls import calls_of
from agentmerge_hub.records import Episode, Step
from agentmerge_hub.traces.formats.episode_json import KEY, to_facts


def document(episode: Episode) -> dict[str, Any]:
    """The trajectory of one episode, as a JSON value. Task, seed, reward and the rest are in ``details``."""
    goal = episode.steps[0].observation.goal
    content: list[dict[str, Any]] = [{"class_": "text_observation", "content": goal, "name": None, "source": "user"}]
    for step in episode.steps:
        page = step.observation
        content.append(
            {"class_": "web_observation", "html": page.html or None, "axtree": page.axtree, "url": page.url}
            | {"image_observation": None, "viewport_size": None}
        )
        content += _actions(step)
    return {
        "schema_version": "1.2.0",
        "id": episode.episode_id,
        "content": content,
        "details": {"source": episode.benchmark, KEY: to_facts(episode)},
    }


def _actions(step: Step) -> list[dict[str, Any]]:
    calls = calls_of(step)
    if not calls:
        return [{"class_": "message_action", "content": step.executed or step.answer, "description": step.thought}]
    return [
        {"class_": "api_action", "function": name, "kwargs": _quoted(arguments), "description": step.thought}
        for name, arguments in calls
    ]


def _quoted(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments as the protocol's own files hold them: texts are quoted a second time."""
    return {key: json.dumps(value) if isinstance(value, str) else value for key, value in arguments.items()}
