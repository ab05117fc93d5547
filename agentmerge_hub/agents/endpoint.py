"""An OpenAI-compatible endpoint: one chat completion at a time. Address and key are the environment's, for children too."""

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
"""Where AgentLab's own client for self-hosted models looks."""

SECONDS = 300.0
"""How long one answer may take."""


class EndpointError(Exception):
    """The endpoint did not give a completion; the message names no address and no key."""


@dataclass(frozen=True)
class Reply:
    """One completion and what it cost."""

    text: str
    prompt_tokens: int
    completion_tokens: int


def use(address: str, key: str = "") -> None:
    """Send the requests of this process and its children there.

    Args:
        address: base URL with its version, e.g. ``http://127.0.0.1:8000/v1``.
        key: API key; most local servers want none.
    """
    for name in (ADDRESS, *_FOR_GENERIC_AGENT[:1]):
        os.environ[name] = address.rstrip("/")
    for name in (KEY, *_FOR_GENERIC_AGENT[1:]):
        os.environ[name] = key or "none"


def models(address: str, key: str = "") -> list[str]:
    """Names of the models an endpoint says it serves.

    Raises:
        UserError: if nothing answers there.
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
    """One completion. A server that is briefly away or busy is asked again, three times in all.

    Raises:
        EndpointError: if it stays away, or answers something that is no completion.
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
    """A client for this process: its connections must not be shared across a fork."""
    import openai

    return openai.OpenAI(base_url=address, api_key=key, timeout=SECONDS, max_retries=2)


def _reason(error: Exception) -> str:
    """Class and status of an error; its text may quote the request."""
    status = getattr(error, "status_code", None)
    return f"HTTP {status}" if status else type(error).__name__
