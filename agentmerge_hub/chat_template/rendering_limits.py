"""Limits of time and memory while a chat template renders in this process.

`limits` shows before that a template renders usual conversations within its limits, but not what it does with another text,
e.g. one that waits for a certain word. Here memory is refused by the system, whatever a template does to take it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread

from agentmerge_hub.chat_template.limits import MEMORY_BYTES
from agentmerge_hub.traces.limits import LimitExceeded, memory_limit, time_limit

_SECONDS = 60
"""A prompt takes milliseconds."""


@contextmanager
def rendering_limits() -> Iterator[None]:
    """Stop a rendering that takes a minute, or adds more than `MEMORY_BYTES` to the process. Without effect outside of the main
    thread, because the limit of memory is one of the process; where Linux does not enforce it, time is limited alone.

    Raises:
        LimitExceeded: if it takes more.
    """
    if current_thread() is not main_thread():
        yield
        return
    try:
        with time_limit(_SECONDS), memory_limit(MEMORY_BYTES):
            yield
    except MemoryError:
        raise LimitExceeded(f"takes more memory than it may ({MEMORY_BYTES / 2**30:g} GiB)") from None
