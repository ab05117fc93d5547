"""The HTTP client for the Hub: every request has a time limit, and a request that exceeds it is not repeated."""

import os

import httpx
from huggingface_hub import constants, is_offline_mode, set_client_factory
from huggingface_hub.errors import OfflineModeIsEnabled

from agentmerge_hub.errors import UserError

TIMEOUT_VARIABLE = "AGENTMERGE_HUB_TIMEOUT"
DEFAULT_TIMEOUT = 30.0
"""Seconds."""

_XET_LIMITS = ("HF_XET_CLIENT_CONNECT_TIMEOUT", "HF_XET_CLIENT_READ_TIMEOUT")
_XET_RETRIES = "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS"
"""Variables of hf_xet, which sends large files with a client of its own and reads them at its first transfer."""


class HubTimeout(Exception):
    """The Hub did not answer in time."""


class _Client(httpx.Client):
    def send(self, request: httpx.Request, **options) -> httpx.Response:
        if is_offline_mode():
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
        # huggingface_hub gives some requests no limit, others ten seconds, and repeats those that exceed theirs: here one limit has to do.
        request.extensions["timeout"] = self.timeout.as_dict()
        try:
            return super().send(request, **options)
        except httpx.TimeoutException as error:
            raise HubTimeout(f"{request.method} {request.url.path}") from error


def limit_requests(seconds: float | None = None) -> None:
    """Set the time limit of every request of huggingface_hub in this process.

    Args:
        seconds: the limit; ``$AGENTMERGE_HUB_TIMEOUT`` or 30 if None.

    Raises:
        UserError: if the variable is not a positive number.
    """
    limit = seconds or timeout()
    for name in _XET_LIMITS:
        os.environ.setdefault(name, f"{max(1, round(limit))}s")
    os.environ.setdefault(_XET_RETRIES, "2")
    constants.HF_HUB_DOWNLOAD_TIMEOUT = constants.HF_HUB_ETAG_TIMEOUT = max(1, round(limit))
    set_client_factory(lambda: _Client(follow_redirects=True, timeout=limit))


def timeout() -> float:
    """Seconds that a request may take."""
    text = os.environ.get(TIMEOUT_VARIABLE) or str(DEFAULT_TIMEOUT)
    try:
        limit = float(text)
    except ValueError:
        limit = 0
    if not 0 < limit < float("inf"):
        raise UserError(f"{TIMEOUT_VARIABLE} is {text!r}: set it to a number of seconds, e.g. {DEFAULT_TIMEOUT:g}")
    return limit
