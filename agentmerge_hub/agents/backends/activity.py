"""What a running episode does now: its worker reports it in a small file, and the parent limits the time of each part.

The parent can be another process or another machine on a shared disk. The file is removed when the run ends.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

RESET = "reset"
"""The browser starts and the task is set up."""
REQUEST = "request"
"""An answer of the model is awaited."""
WAIT = "wait"
"""The endpoint is busy or limits the rate of requests; the client waits as long as it says before it repeats one."""
ACTION = "action"
"""The model's action is executed in the browser."""
PAGE = "page"
"""The page loads or is observed."""

RESET_SECONDS = 180.0
"""Least time limit of a reset: it starts a browser, and on WorkArena a user is created."""
WAIT_SECONDS = 90.0
"""Least time limit of a wait: openai's client waits for a minute at most."""

_NAME = ".activity"
_folder: Path | None = None


@contextlib.contextmanager
def reporting(folder: Path) -> Iterator[None]:
    """Report into a run's folder while the block runs."""
    global _folder
    _folder = folder
    report(RESET)
    try:
        yield
    finally:
        _folder = None
        remove(folder)


def report(what: str) -> None:
    """Start a request, an action or an observation; without a run it does nothing."""
    if _folder is not None:
        with contextlib.suppress(OSError):
            (_folder / _NAME).write_text(what, encoding="utf-8")


def read(folder: Path) -> str:
    """The last report of a run; empty if there is none."""
    try:
        return (folder / _NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def is_overdue(folder: Path, started: float, limit: float) -> bool:
    """Whether a run's current part takes longer than its time limit.

    Args:
        folder: the run's folder.
        started: time.time() at the run's start.
        limit: seconds for a request, an action or an observation.
    """
    times = [started]
    for path in (folder, folder / _NAME):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    doing = read(folder)
    if doing in (RESET, ""):
        limit = max(limit, RESET_SECONDS)
    elif doing == WAIT:
        limit = max(limit, WAIT_SECONDS)
    return time.time() - max(times) > limit


def remove(folder: Path) -> None:
    """Remove the file of a run that has ended."""
    (folder / _NAME).unlink(missing_ok=True)
