"""Read what an agent said: its recorded chat, and the action that it gave to the environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentmerge_hub.actions import ActionError, parse_calls, written
from agentmerge_hub.prompt import THINK_TAG, thought_of
from agentmerge_hub.records import Message

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "SystemMessage": "system",
}


@dataclass(frozen=True)
class Chat:
    """The recorded exchange of one step without its parse-and-retry turns."""

    prompt: tuple[Message, ...] = ()
    """The turns up to the page, with the answers of examples or earlier steps before it, and those behind it until an answer."""
    answer: str = ""
    """The last answer, word for word: the one that could be read."""
    retries: int = 0
    refused: tuple[str, ...] = ()
    """The answers before it that could not be read."""
    has_picture: bool = False
    """Whether the first user turn began with the picture."""


def read_chat(recorded: Any, picture: str = "", page: str = "") -> Chat:
    """Read ``agent_info["chat_messages"]``: AgentLab's Discussion, a list of messages, or of plain texts.

    A chat with images or tool calls gives an empty Chat: its text alone is not what the teacher saw or said.

    Args:
        picture: name of the file that may be the first part of the first user turn.
        page: the page of the step. Answers before the last turn that shows it are part of the prompt.
    """
    if isinstance(recorded, dict):
        recorded = recorded.get("messages") or getattr(recorded, "rows", None)
    if not isinstance(recorded, Sequence) or isinstance(recorded, str | bytes):
        return Chat()
    messages: list[Message] = []
    has_picture = False
    for place, entry in enumerate(recorded):
        if picture and not has_picture and _is_user(entry) and not any(m["role"] == "user" for m in messages):
            entry, has_picture = _without_picture(entry, picture)
        message = _message(entry, place)
        if message is None:
            return Chat()
        messages.append(message)
    shows_page = _last_with("\n".join(page.strip().split("\n")[:3]), messages)
    answers = [place for place, message in enumerate(messages) if place > shows_page and message["role"] == "assistant"]
    if not answers:
        return Chat(tuple(messages), has_picture=has_picture)
    ended = answers[-1] == len(messages) - 1
    refused = tuple(messages[place]["content"] for place in answers[:-1])
    answer = messages[-1]["content"] if ended else ""
    return Chat(tuple(messages[: answers[0]]), answer, len(answers) - 1, refused, has_picture)


def _last_with(text: str, messages: Sequence[Message]) -> int:
    """Place of the last user turn that holds a text, -1 if none does."""
    return max(
        (n for n, turn in enumerate(messages) if text and turn["role"] == "user" and text in turn["content"]),
        default=-1,
    )


def _is_user(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("role") == "user"


def _without_picture(entry: dict[str, Any], picture: str) -> tuple[dict[str, Any], bool]:
    """A user turn without its first part, if that is the picture, and whether it is."""
    content = entry.get("content")
    parts = content if isinstance(content, list) else []
    first = parts[0] if parts else None
    shown = first.get("image_url") if isinstance(first, dict) and first.get("type") == "image_url" else None
    if not (isinstance(shown, dict) and shown.get("url") == picture):
        return entry, False
    return {"role": "user", "content": parts[1:]}, True


def _message(entry: Any, place: int) -> Message | None:
    if isinstance(entry, str):  # AgentLab before 0.3 kept the contents alone: system, user, answer, user, answer, …
        return Message(role="system" if place == 0 else "user" if place % 2 else "assistant", content=entry)
    if not isinstance(entry, dict):
        return None
    fields = entry.get("__dict__") or entry
    if not isinstance(fields, dict):
        return None
    role = fields.get("role") or fields.get("type") or getattr(entry, "kind", "").rpartition(".")[2]
    content = _text(fields.get("content"))
    if content is None or not isinstance(role, str) or fields.get("tool_calls") or fields.get("function_call"):
        return None
    role = _ROLES.get(role, role.lower())
    thought = thought_of(_reasoning(fields), has_action=False) if role == "assistant" else None
    if thought and not THINK_TAG.search(content):
        content = f"<think>\n{thought}\n</think>\n\n{content}"  # the server took it out of the answer
    return Message(role=role, content=content)


def _text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    shown = [part for part in content if not _is_thinking(part)]
    parts = [part["text"] for part in shown if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return "\n".join(parts) if len(parts) == len(shown) else None  # as AgentLab joins the parts of a turn


def _is_thinking(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in ("thinking", "redacted_thinking", "reasoning")


def _reasoning(fields: dict[str, Any]) -> str:
    """The reasoning beside an answer, in the first field that has any: a text, or blocks as Anthropic, LiteLLM and OpenRouter give them."""
    content = fields.get("content")
    thinking = list(filter(_is_thinking, content)) if isinstance(content, list) else []
    names = ("reasoning_content", "reasoning", "thinking_blocks", "reasoning_details")
    for value in (*(fields.get(name) for name in names), thinking):
        if isinstance(value, str) and value.strip():
            return value
        blocks = [block for block in value if isinstance(block, dict)] if isinstance(value, list) else []
        texts = [block.get(key) for block in blocks for key in ("thinking", "text", "summary")]
        if shown := [text for text in texts if isinstance(text, str) and text]:
            return "\n".join(shown)
    return ""


@dataclass(frozen=True)
class Executed:
    """What one step carried out."""

    action: str | None
    """The calls alone, one a line; None where BrowserGym found none."""
    thought: str | None
    """Reasoning in the same text, as BrowserGym's demo agent writes it."""


def read_action(text: str) -> Executed:
    """Read the text that an agent gave to the environment: calls, alone or within prose, fences or tags."""
    try:
        calls = parse_calls(text)
    except ActionError:
        return Executed(None, None)
    action = written(calls)
    if action == text.strip():
        return Executed(action, None)
    if "<action>" in text or THINK_TAG.search(text):
        return Executed(action, thought_of(text))
    before = text.expandtabs().partition(calls[0].text)[0]
    for language in ("python", "py"):  # of a code block that begins before the call
        before = before.rstrip().removesuffix(f"```{language}")
    return Executed(action, before.rstrip().rstrip("`").strip() or None)


def read_thought(recorded: Any, action: str) -> str | None:
    """A recorded thought; None where it is empty, or the answer without its think step, which AgentLab records then."""
    if not isinstance(recorded, str) or recorded.strip() == action.strip():
        return None
    return thought_of(recorded, has_action="<action>" in recorded)
