"""Errors of the Hub, the network and the disk as one sentence."""

import errno
import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from huggingface_hub import constants, errors

from agentmerge_hub.errors import NO_SPACE, UserError, os_error_sentence
from agentmerge_hub.publishing.hub.client import TIMEOUT_VARIABLE, HubTimeout, timeout
from agentmerge_hub.publishing.hub.repository import Repository

FULL = (*NO_SPACE, errno.EFBIG)
"""Error numbers of a full disk, an exceeded quota and a file-size limit."""
_GATEWAY = (502, 504)
"""Answered by what is before the Hub, in place of an answer that it lost or did not wait for."""
OTHER_SERVER = "look for a proxy between, or a wrong HF_ENDPOINT"
"""What to do where something that is no Hub answers."""


@contextmanager
def sentences(repository: Repository, then: str) -> Iterator[None]:
    """Turn errors of the Hub, the network and the disk inside the block into one UserError.

    Args:
        then: the state of the work and what to do next, e.g. ``"nothing was published"``.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        sentence = describe(error, repository)
        if sentence is None:
            raise
        raise UserError(f"{sentence}; {then}.") from error


def describe(error: BaseException, repository: Repository) -> str | None:
    """The sentence for an error or the first of its causes that has one, without a full stop."""
    known = next((sentence for cause in causes(error) if (sentence := _sentence(cause, repository))), None)
    if known is None and _was_raised_by_client(error):
        return f"An answer of {constants.ENDPOINT} could not be used ({type(error).__name__}: {error}): {OTHER_SERVER}"
    return known


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _was_raised_by_client(error: BaseException) -> bool:
    """Whether an error comes from within huggingface_hub, which takes the Hub's answers for what they should be."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__", "").partition(".")[0] == "huggingface_hub" for frame, _ in frames)


def is_unreachable(error: BaseException) -> bool:
    """Whether an error says nothing about the account or the repository: no connection, no answer, offline mode."""
    kinds = (HubTimeout, httpx.TransportError, errors.OfflineModeIsEnabled, errors.LocalTokenNotFoundError)
    return any(isinstance(cause, kinds) for cause in causes(error))


def may_be_done(error: BaseException) -> bool:
    """Whether the Hub may carry a request out, or go on with it, though an error came back."""
    answered = (cause for cause in causes(error) if isinstance(cause, errors.HfHubHTTPError))
    return is_unreachable(error) or any(cause.response.status_code in _GATEWAY for cause in answered)


def _sentence(error: BaseException, repository: Repository) -> str | None:
    if isinstance(error, errors.LocalEntryNotFoundError) and (error.__cause__ or error.__context__):
        return None  # it says nothing about its cause
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "No Hugging Face token was found: run `hf auth login`, or set HF_TOKEN to a token with write access"
    if isinstance(error, errors.GatedRepoError):
        return f"{repository} is gated: ask for access at {repository.url}, with the account of your token"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repository} has no such revision: its branches and tags are at {repository.url}/tree/main"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{repository} does not exist, or your token may not see it (`hf auth whoami` shows its account)"
    if isinstance(error, errors.HfHubHTTPError):
        return _status(error, repository)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"HF_HUB_OFFLINE is set, so {constants.ENDPOINT} is not contacted: unset it"
    if isinstance(error, HubTimeout):
        return (
            f"{constants.ENDPOINT} did not answer {error} within {timeout():g} seconds: try again later, or set "
            f"{TIMEOUT_VARIABLE} to more seconds"
        )
    if isinstance(error, httpx.TransportError):
        return f"The connection to {constants.ENDPOINT} failed ({type(error).__name__}: {error})"
    if isinstance(error, errors.HFValidationError):
        return f"The Hub does not allow this name ({' '.join(str(error).split())[:200]})"
    if isinstance(error, json.JSONDecodeError):
        return f"The answer of {constants.ENDPOINT} is not that of a Hub: {OTHER_SERVER}"
    if isinstance(error, OSError) and error.errno in FULL:
        return f"The disk is full ({error.strerror})"
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return f"A file arrived with another size than {constants.ENDPOINT} announced: look for a proxy that changes it"
    if isinstance(error, ValueError) and "metadata in README.md" in str(error):
        return f"The Hub does not accept the card: {' '.join(str(error).split())}"
    if isinstance(error, OSError) and not isinstance(error, httpx.HTTPError):
        return os_error_sentence(error)
    return None


def _status(error: errors.HfHubHTTPError, repository: Repository) -> str:
    status = error.response.status_code
    message = error.server_message or error.response.reason_phrase
    if status == 401:
        return "The Hub does not accept the token: run `hf auth login`, or set HF_TOKEN to a valid one"
    if status == 403 and error.response.request.method in ("GET", "HEAD"):
        return f"The token may not read {repository} ({message}): use one with access to it"
    if status == 403:
        return (
            f"The token may not write to {repository} ({message}): use one with write access to {repository.namespace}"
        )
    if status in (409, 412):
        return f"{repository} was changed by someone else meanwhile ({message})"
    if status == 429:
        return f"The Hub limits the rate of requests ({message})"
    return f"The Hub answered {status} ({message})"
