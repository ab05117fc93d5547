"""Session traces (JSON lines) → their texts. A file that the trace viewer of the Hub does not show is refused.

Format: https://huggingface.co/docs/hub/session-traces-format.
"""

import json
from collections.abc import Iterator
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text, json_texts, read_bytes

_ROLES = ("user", "assistant", "system", "tool")


def session_trace_texts(name: str, content: Content) -> Iterator[Text]:
    """Every key and string of every line; they are recorded pages and answers.

    Raises:
        UserError: if a line is not JSON, or not what the format has there.
    """
    lines = [line for line in read_bytes(content).split(b"\n") if line]
    calls: set[str] = set()
    for number, line in enumerate(lines, 1):
        for text in json_texts(name, line):
            yield Text(text.where, text.text)
        if wrong := _wrong(json.loads(line), number == 1, calls):
            raise UserError(f"{name}, line {number}: {wrong}: push the dataset again")
    if len(lines) < 2:
        raise UserError(f"{name} holds no message: push the dataset again")


def _wrong(line: Any, is_first: bool, calls: set[str]) -> str | None:
    """What is wrong with a line; adds the ids of its calls."""
    if not isinstance(line, dict) or line.get("type") != ("session" if is_first else "message"):
        return "it is not of the type that the format has there"
    if is_first:
        return (
            None
            if all(isinstance(line.get(key), str) and line[key] for key in ("harness", "id"))
            else "no id or harness"
        )
    message = line.get("message")
    if (
        not isinstance(message, dict)
        or message.get("role") not in _ROLES
        or not isinstance(message.get("content"), str)
    ):
        return "its message has no role or no text"
    try:
        for call in message.get("toolCalls", []):
            calls.add(call["id"])
            json.loads(call["function"]["arguments"])
            if not isinstance(call["function"]["name"], str):
                raise TypeError
    except (KeyError, TypeError, ValueError):
        return "a call has no id, name or arguments"
    if message["role"] == "tool" and message.get("toolCallId") not in calls:
        return "its result belongs to no call"
    return None
