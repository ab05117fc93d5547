"""An episode as a Hugging Face session trace: JSON lines that the Hub's trace viewer shows."""

import json
from typing import Any

from agentmerge_hub.dataset.export.calls import calls_of
from agentmerge_hub.records import Episode, Step
from agentmerge_hub.traces.formats.episode_json import KEY, to_facts


def lines(episode: Episode, facts: bool = True) -> list[dict[str, Any]]:
    """The lines of one episode, as JSON values. The viewer shows AXTrees.

    Args:
        facts: whether the header holds HTML and the rest, with which the episode can be read back.
    """
    header: dict[str, Any] = {
        "type": "session",
        "harness": "agentmerge",
        "id": episode.episode_id,
        "name": f"{episode.task} {episode.seed}",
    }
    header |= {"task": episode.task, "seed": episode.seed, "reward": episode.reward if episode.scored else None}
    if facts:
        header[KEY] = to_facts(episode) | {"html": [step.observation.html for step in episode.steps]}
    first = episode.steps[0].observation
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": first.goal},
        {"role": "user", "content": first.axtree},
    ]
    for place, step in enumerate(episode.steps):
        calls = [
            {"id": f"call_{step.index}_{number}", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for number, (name, arguments) in enumerate(calls_of(step))
        ]
        messages.append(_answer(step, calls, episode.teacher))
        if place + 1 < len(episode.steps):
            page = {"role": "tool" if calls else "user", "content": episode.steps[place + 1].observation.axtree}
            messages.append(page | ({"toolCallId": calls[-1]["id"]} if calls else {}))
    return [header, *({"type": "message", "message": message} for message in messages)]


def _answer(step: Step, calls: list[dict[str, Any]], teacher: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": step.answer}
    if step.thought:
        message["reasoningContent"] = step.thought
    if calls:
        message["toolCalls"] = calls
    return message | ({"model": teacher} if teacher else {})
