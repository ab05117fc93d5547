"""Read what an agent said: its recorded chat, its thought and its action, in every form found in saved traces."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentmerge_hub.actions import parse_calls
from agentmerge_hub.prompt import thought_of
from agentmerge_hub.records import Message

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "SystemMessage": "system",
}
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n?(.*?)```", re.DOTALL)
_ACTION_TAG = re.compile(r"<action>(.*?)</action>", re.DOTALL)


@dataclass(frozen=True)
class Chat:
    """The recorded exchange of one step without its parse-and-retry turns."""

    prompt: tuple[Message, ...] = ()
    """System and user turns before the first answer."""
    answer: str = ""
    """The last answer, word for word: the one that could be read."""
    retries: int = 0


def read_chat(recorded: Any) -> Chat:
    """Read ``agent_info["chat_messages"]``: AgentLab's Discussion, a list of messages, or of plain texts.

    A chat with pictures gives an empty Chat: its text alone is not what the expert saw.
    """
    if isinstance(recorded, dict):
        recorded = recorded.get("messages") or getattr(recorded, "rows", None)
    if not isinstance(recorded, Sequence) or isinstance(recorded, str | bytes):
        return Chat()
    messages = [_message(entry, place) for place, entry in enumerate(recorded)]
    if not messages or None in messages:
        return Chat()
    answers = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    if not answers:
        return Chat(tuple(messages))
    ended = answers[-1] == len(messages) - 1
    return Chat(tuple(messages[: answers[0]]), messages[-1]["content"] if ended else "", len(answers) - 1)


def _message(entry: Any, place: int) -> Message | None:
    if isinstance(entry, str):  # AgentLab before 0.3 kept the contents alone: system, user, answer, user, answer, …
        return Message(role="system" if place == 0 else "user" if place % 2 else "assistant", content=entry)
    if not isinstance(entry, dict):
        return None
    fields = entry.get("__dict__") or entry
    role = fields.get("role") or fields.get("type") or getattr(entry, "kind", "").rpartition(".")[2]
    content = _text(fields.get("content"))
    return None if content is None else Message(role=_ROLES.get(role, role), content=content)


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    ):
        return "\n".join(part["text"] for part in content)  # as AgentLab joins the parts of a turn
    return None


@dataclass(frozen=True)
class Said:
    """Thought and action of one step. `action` is None where no call could be read."""

    thought: str | None
    action: str | None


def read_action(text: str) -> Said:
    """Read a recorded action: bare calls, prose with a fenced call, or ``<think>…</think><action>…</action>``."""
    if _are_calls(text):
        return Said(None, text.strip())
    if tags := _ACTION_TAG.findall(text):
        before = text.split("<action>", 1)[0].strip()
        return Said(thought_of(text) or before or None, _calls_or_none(tags[-1]))
    if fences := list(_FENCE.finditer(text)):
        thought = (thought_of(text) or text[: fences[-1].start()]).strip()
        return Said(thought or None, _calls_or_none(fences[-1].group(1)))
    return Said(thought_of(text), None)


def _calls_or_none(text: str) -> str | None:
    return text.strip() if _are_calls(text) else None


def _are_calls(text: str) -> bool:
    try:
        parse_calls(text)
    except ValueError:
        return False
    return True
