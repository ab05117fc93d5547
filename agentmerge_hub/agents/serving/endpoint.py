"""Client of an OpenAI-compatible endpoint. Address and key are kept in environment variables, which child processes inherit."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Message

ADDRESS = "AGENTMERGE_ENDPOINT"
KEY = "AGENTMERGE_API_KEY"

_FOR_GENERIC_AGENT = ("VLLM_API_URL", "VLLM_API_KEY")
"""Variables that AgentLab's own client for self-hosted models reads."""

SECONDS = 300.0
"""Time limit of one request."""


class EndpointError(Exception):
    """The endpoint gave no completion. The message contains no address and no key."""


@dataclass(frozen=True)
class Reply:
    """One completion and its token counts."""

    text: str
    prompt_tokens: int
    completion_tokens: int


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


def list_models(address: str, key: str = "") -> list[str]:
    """Names of the models that an endpoint serves.

    Raises:
        UserError: if no server answers at the address.
    """
    import openai

    client = openai.OpenAI(base_url=address, api_key=key or "none", timeout=20, max_retries=1)
    try:
        return [model.id for model in client.models.list().data]
    except openai.OpenAIError as error:
        raise UserError(
            f"no model answers at the endpoint {address}: {_reason(error)}; start a server, or `agentmerge serve MODEL`"
        ) from error


def complete(model: str, messages: Sequence[Message], max_tokens: int, temperature: float) -> Reply:
    """Request one completion, up to three times while the server is unreachable or busy.

    Raises:
        EndpointError: if the server stays unreachable, or its reply is not a completion.
    """
    import openai

    try:
        response = _client(os.environ[ADDRESS], os.environ[KEY], os.getpid()).chat.completions.create(
            model=model,
            messages=[dict(message) for message in messages],
            max_tokens=max_tokens,
            temperature=temperature,
        )
    except (openai.OpenAIError, ValueError) as error:
        raise EndpointError(f"the endpoint gave no completion: {_reason(error)}") from None
    try:
        text, usage = response.choices[0].message.content or "", response.usage
    except (AttributeError, IndexError, TypeError):
        raise EndpointError("the endpoint's reply is not a chat completion") from None
    return Reply(text, getattr(usage, "prompt_tokens", None) or 0, getattr(usage, "completion_tokens", None) or 0)


@cache
def _client(address: str, key: str, process: int) -> Any:
    """The client of this process; connections must not be shared across a fork."""
    import openai

    return openai.OpenAI(base_url=address, api_key=key, timeout=SECONDS, max_retries=2)


def _reason(error: Exception) -> str:
    """Status or class of an error, without its text, which may quote the request."""
    status = getattr(error, "status_code", None)
    return f"HTTP {status}" if status else type(error).__name__
