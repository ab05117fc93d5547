"""Time and memory limits of the work on one episode."""

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from filelock import BaseFileLock, FileLock, Timeout

EPISODE_SECONDS = 300
"""Time to read one episode, or to turn it into rows. A long one takes seconds."""

EPISODE_BYTES = 3 * 2**28
"""Memory that the work on one episode may add, when no other process of the user works on such a large one."""

SHARED_BYTES, MIN_SHARED_BYTES = 2**29, 2**26
"""Memory that the other processes together may add meanwhile, and the least that each of them may. With the 0.3 GiB of each
process a build on two cores stays below 2 GiB, whatever its traces hold."""

EPISODE_FILE_BYTES = 2 * 2**30
"""Bytes of an episode's files together. Two hundred steps with screenshots take 0.6 GB."""

TEXT_SHARE, HTML_SHARE, DISTINCT_SHARE = 0.2, 0.3, 1 / 60
"""Shares of an episode's memory that its texts may take, its HTML, and the distinct lines of what becomes rows. Texts are copied on
their way to rows, and redaction takes 60 bytes for each of a distinct short line. A hundred long pages take 30 MB, 150 MB of HTML,
which most prompts do not show, and share most lines."""


def shared_bytes(n_processes: int) -> int:
    """Memory that the work on an episode may add beside the work of other processes on theirs."""
    return max(SHARED_BYTES // n_processes, MIN_SHARED_BYTES)


class LimitExceeded(Exception):
    """The work on an episode took too long; the message says what the limit was."""


class _OutOfTime(BaseException):
    """Raised by the timer anywhere in the work, past handlers of ordinary exceptions."""


@contextmanager
def time_limit(seconds: float = EPISODE_SECONDS) -> Iterator[None]:
    """Stop the work inside after some seconds. Without effect outside of the process's main thread.

    Raises:
        LimitExceeded: if time runs out.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, stop)
    started = time.monotonic()
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except _OutOfTime:
        raise LimitExceeded(f"takes longer than {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:  # a limit around this one goes on
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - started), 0.001))


@contextmanager
def memory_limit(limit: int = EPISODE_BYTES) -> Iterator[None]:
    """Let the work inside add at most so many bytes to the process's address space: more is a MemoryError. For plain Python
    only, because other libraries end the process where memory is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = _address_space() + limit
    if not _address_space() or (soft != resource.RLIM_INFINITY and soft <= allowed):
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (allowed if hard == resource.RLIM_INFINITY else min(allowed, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def alone(lock_file: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Wait until no other process works under the same lock file. The lock of a process that is killed is free.

    Args:
        waiting: is called twice a second until then, and once at the end.
    """
    lock = FileLock(lock_file)
    while not _acquired(lock):
        waiting()
    waiting()
    try:
        yield
    finally:
        lock.release()


def _acquired(lock: BaseFileLock) -> bool:
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        return False
    except (OSError, NotImplementedError):  # no place for a lock, or a file system without locks: go on without it
        pass
    return True


def _address_space() -> int:
    """Bytes that this process has reserved; 0 where the system does not say. It is asked for each prompt: no file object is made."""
    try:
        file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return int(os.read(file, 100).split()[0]) * resource.getpagesize()
        finally:
            os.close(file)
    except (OSError, ValueError):
        return 0
