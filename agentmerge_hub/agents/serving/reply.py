"""The JSON body of a chat completion → text, reasoning and token counts. Any body is accepted; nothing here raises."""

import json
from dataclasses import dataclass
from typing import Any

from agentmerge_hub.actions import text_around_calls
from agentmerge_hub.prompt import answer
from agentmerge_hub.traces.values import as_text


@dataclass(frozen=True)
class Reply:
    """One completion. Token counts are None where the server reports no usage."""

    text: str
    reasoning: str = ""
    """The thought that a reasoning parser separated from the text."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    model: str = ""
    """Name of the model that answered; empty where the server does not say it."""


def read_reply(body: Any) -> Reply | None:
    """Read a response body.

    Content may be a string, a part or a list of parts. Half of a surrogate pair, which a cut answer can end with, becomes a
    replacement character: no tokenizer takes it. Reasoning is `reasoning_content` (vLLM until 0.11, SGLang, DeepSeek) or
    `reasoning` (vLLM, OpenRouter), also in parts. Tool calls become an ``<action>`` block if each of them can be read: what is
    left of an answer without one of its calls is another action.

    Returns:
        None if the body holds no message, or an error beside it, as OpenRouter sends when the model's host fails.
    """
    choices = _dict(body).get("choices")
    choice = _dict(choices[0]) if isinstance(choices, list) and choices else {}
    message = choice.get("message")
    if not isinstance(message, dict) or choice.get("error"):
        return None
    text, reasoning = _read_content(message.get("content"))
    for key in ("reasoning_content", "reasoning"):
        if not reasoning:
            reasoning = "\n".join(filter(None, _read_content(message.get(key)))).strip()
    calls = [_call_text(entry) for entry in _tool_calls(message)]
    if calls and all(calls) and "<action>" not in text:
        text = answer("\n".join(calls), text.strip() or None)
    usage = _dict(_dict(body).get("usage"))
    tokens = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return Reply(as_text(text), as_text(reasoning), *tokens, as_text(_dict(body).get("model")))


def _read_content(content: Any) -> tuple[str, str]:
    """Text and reasoning of a message's content."""
    if isinstance(content, str):
        return content, ""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            is_thought = part.get("type") in ("thinking", "reasoning")
            value = part.get("text") or part.get("thinking") or part.get("reasoning")
            if isinstance(value, list):  # Mistral nests text parts in a thinking part
                value = "".join(inner["text"] for inner in value if isinstance(_dict(inner).get("text"), str))
            if isinstance(value, str):
                (thoughts if is_thought else texts).append(value)
    return "".join(texts), "\n".join(thoughts).strip()


def _tool_calls(message: dict) -> list:
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        return [_dict(call).get("function") for call in calls]
    return [message["function_call"]] if message.get("function_call") else []


def _call_text(function: Any) -> str:
    """A tool call as a Python call, e.g. ``click(bid='a51')``; empty if its arguments are not a JSON object, or BrowserGym would
    read no call in it."""
    name, arguments = _dict(function).get("name"), _dict(function).get("arguments")
    if arguments is None or isinstance(arguments, str):  # a call without arguments may come with null
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return ""
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return ""
    values = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    call = f"{name.rpartition('.')[2]}({values})".replace("</action>", r"\x3c/action>")  # it would end the action
    around = text_around_calls(call)
    return call if around is not None and not around.strip() else ""


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
