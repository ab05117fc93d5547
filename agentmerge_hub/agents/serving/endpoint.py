"""Client of an OpenAI-compatible endpoint. Address and key are kept in environment variables, which child processes inherit."""

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from agentmerge_hub.agents.backends import activity
from agentmerge_hub.agents.serving.reply import Reply, read_reply
from agentmerge_hub.errors import UserError

ADDRESS = "AGENTMERGE_ENDPOINT"
KEY = "AGENTMERGE_API_KEY"

_FOR_GENERIC_AGENT = ("VLLM_API_URL", "VLLM_API_KEY")
"""Variables that AgentLab's own client for self-hosted models reads."""

SECONDS = 300.0
"""Time limit of one request."""

_CONTEXT_KEYS = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Where a model list gives the context length: vLLM and SGLang, OpenRouter, Groq, Mistral."""


_TOO_LONG = re.compile(
    r"context[_ -]?(?:length|size|window)|`max_new_tokens` must be|(?:prompt|input) is too long|too many (?:input )?tokens",
    re.IGNORECASE,
)
"""How vLLM, SGLang, llama.cpp, Ollama, TGI, OpenAI and Anthropic say that a request does not fit into a model's context."""

_CODE = re.compile(r"[A-Za-z][\w.-]{0,60}")
_NO_MAX_TOKENS = ("unsupported_parameter", "max_tokens")
"""Code and parameter with which OpenAI's reasoning models ask for `max_completion_tokens` instead."""

_LIMITS: dict[tuple[str, str], str] = {}
"""Address and model → the parameter of the limit, of models that refused `max_tokens` once in this process."""


class EndpointError(Exception):
    """The endpoint gave no completion. The message contains no address and no key."""


@dataclass(frozen=True)
class ServedModel:
    """A model that an endpoint lists. `context_length` is in tokens, None if it is not listed."""

    name: str
    context_length: int | None = None


def configure(address: str, key: str = "") -> None:
    """Set the endpoint of this process and its children.

    Args:
        address: base URL with its version, e.g. ``http://127.0.0.1:8000/v1``.
        key: API key; most local servers need none.
    """
    for name in (ADDRESS, *_FOR_GENERIC_AGENT[:1]):
        os.environ[name] = address.rstrip("/")
    for name in (KEY, *_FOR_GENERIC_AGENT[1:]):
        os.environ[name] = key or "none"


def list_models(address: str, key: str = "") -> list[ServedModel]:
    """The models that an endpoint lists; empty if it has no list.

    Raises:
        UserError: if no server answers at the address.
    """
    import openai

    client = openai.OpenAI(base_url=address, api_key=key or "none", timeout=20, max_retries=1)
    try:
        body = client.models.with_raw_response.list().http_response.json()
    except openai.NotFoundError:
        return []
    except (openai.OpenAIError, ValueError, RecursionError) as error:
        raise UserError(
            f"no model answers at the endpoint {address}: {_reason(error)}; start a server, or `agentmerge serve MODEL`"
        ) from error
    entries = body.get("data") if isinstance(body, dict) else body
    models = []
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            lengths = [entry[key] for key in _CONTEXT_KEYS if isinstance(entry.get(key), int)]
            models.append(ServedModel(entry["id"], lengths[0] if lengths else None))
    return models


def complete(
    model: str,
    messages: Sequence[Mapping[str, Any]],
    max_tokens: int,
    temperature: float,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> Reply:
    """Request one completion, up to three times while the server is unreachable or busy.

    A reply without a message, e.g. with empty `choices`, an error in place of it, or cut in the middle, is requested once more.

    Raises:
        EndpointError: if the server stays unreachable, or its reply is not a completion.
    """
    import openai

    extra = {"chat_template_kwargs": dict(chat_template_kwargs)} if chat_template_kwargs else None
    sent = [dict(message) for message in messages]
    for _ in range(2):
        client, served = _client(os.environ[ADDRESS], os.environ[KEY], os.getpid()), (os.environ[ADDRESS], model)
        create = partial(
            client.chat.completions.with_raw_response.create,
            model=model, messages=sent, temperature=temperature, extra_body=extra,
        )  # fmt: skip
        try:
            try:
                response = create(**{_LIMITS.get(served, "max_tokens"): max_tokens})
            except openai.BadRequestError as error:
                if (error.code, error.param) != _NO_MAX_TOKENS:
                    raise
                _LIMITS[served] = "max_completion_tokens"
                response = create(max_completion_tokens=max_tokens)
        except openai.OpenAIError as error:
            raise EndpointError(f"the endpoint gave no completion: {_reason(error)}") from None
        with contextlib.suppress(ValueError, RecursionError):
            if reply := read_reply(response.http_response.json()):
                return reply
    raise EndpointError("the endpoint's reply is not a chat completion")


@cache
def _client(address: str, key: str, process: int) -> Any:
    """The client of this process; connections must not be shared across a fork. Every attempt restarts the time limit."""
    import httpx
    import openai

    hooks = {
        "request": [lambda request: activity.report(activity.REQUEST)],
        "response": [lambda response: activity.report(activity.WAIT) if response.is_error else None],
    }
    transport = httpx.Client(event_hooks=hooks, timeout=SECONDS, follow_redirects=True)
    return openai.OpenAI(base_url=address, api_key=key, timeout=SECONDS, max_retries=2, http_client=transport)


def _reason(error: Exception) -> str:
    """Status or class of an error and its code, without its text, which may quote the request."""
    import openai

    if not isinstance(error, openai.APIStatusError):
        return type(error).__name__
    if _TOO_LONG.search(error.message):
        return (
            f"HTTP {error.status_code}, because prompt and answer are longer than the context of the served model: set the recipe's "
            "window to that length"
        )
    details = [text for text in (error.code, error.param) if isinstance(text, str) and _CODE.fullmatch(text)]
    return f"HTTP {error.status_code}" + (f" ({', '.join(details)})" if details else "")
