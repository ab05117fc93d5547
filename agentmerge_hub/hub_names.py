"""Names of models and datasets that are no folder here: refused if they cannot be Hub ids, looked up without retries if
the Hub cannot be reached."""

import sys
from functools import cache
from pathlib import Path

from agentmerge_hub.errors import UserError

_SECONDS = 10


def check_name(name: str, kind: str) -> None:
    """Refuse a name that is neither a path nor a Hub id. Where the Hub does not answer, only its cached copies are used from
    now on, so that the libraries that load a model or dataset do not repeat their requests for minutes.

    Args:
        name: path or Hub id.
        kind: what it names, e.g. ``"model"``.

    Raises:
        UserError: if it can only be a path, and there is nothing at it.
    """
    try:
        if "://" in name or Path(name).exists():
            return
    except (OSError, ValueError) as error:  # a name that is too long, or holds a null byte
        raise UserError(f"no {kind} at {name!r}: it is no path ({error})") from error
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(
            f"no {kind} at {name!r}: no such folder, and it cannot be a Hub id: correct the path"
        ) from error
    _use_cache_if_unreachable()


def _use_cache_if_unreachable() -> None:
    from huggingface_hub import constants, is_offline_mode

    if is_offline_mode() or _answers(constants.ENDPOINT):
        return
    constants.HF_HUB_OFFLINE = True
    if "datasets" in sys.modules:  # which copies the setting
        sys.modules["datasets"].config.HF_HUB_OFFLINE = True


@cache
def _answers(endpoint: str) -> bool:
    """Whether the Hub can be reached; it is asked once a process."""
    import httpx
    from huggingface_hub import get_session

    try:
        get_session().head(endpoint, timeout=_SECONDS)
    except httpx.TransportError:
        return False
    return True
