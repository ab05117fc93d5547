"""Read one episode of any format, within limits. Whatever is wrong with it, the other episodes are not affected."""

import sys
from collections.abc import Iterator

from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Episode, Step
from agentmerge_hub.traces.files import Refused, size_text
from agentmerge_hub.traces.find import Found, FoundIn
from agentmerge_hub.traces.formats import adp, atif, browsergym, cube, detection, documents, session_trace
from agentmerge_hub.traces.limits import (
    DISTINCT_SHARE,
    EPISODE_BYTES,
    HTML_SHARE,
    TEXT_SHARE,
    LimitExceeded,
    memory_limit,
    time_limit,
)
from agentmerge_hub.traces.options import TEXTS, ReadOptions
from agentmerge_hub.traces.values import OutOfRange, first_line


class Unreadable(ValueError):
    """An episode that cannot be used; the message names the file, if it is one file's fault, and the reason."""


class NeedsMoreMemory(Unreadable):
    """An episode that cannot be read within the given memory."""


def read_episode(found: Found, options: ReadOptions = TEXTS, max_bytes: int = EPISODE_BYTES) -> Episode:
    """Read one episode.

    Args:
        options: what to read and how to print its pages.
        max_bytes: memory that reading it and making its rows may add.

    Raises:
        NeedsMoreMemory: if that is too little, and less than the limit of an episode.
        Unreadable: whatever else is wrong with its files.
    """
    try:
        with time_limit(), memory_limit(max_bytes):
            episode = _read(found, options)
            _check_size(episode, max_bytes)
            return episode
    except (UserError, Unreadable):
        raise
    except (Refused, OutOfRange) as error:
        raise Unreadable(str(error) if isinstance(error, Refused) else f"{found.folder.name} {error}") from None
    except LimitExceeded as error:
        raise Unreadable(f"the episode {error} to read") from None
    except MemoryError:
        raise NeedsMoreMemory("the episode needs more memory than the limit") from None
    except OSError as error:  # its own text names a path of this machine
        raise Unreadable(f"the episode cannot be read ({error.strerror or type(error).__name__})") from None
    except Exception as error:  # no file may end the work on all others
        raise Unreadable(
            f"the episode cannot be read ({type(error).__name__}: {first_line(str(error))[:120]})"
        ) from None


def _check_size(episode: Episode, max_bytes: int) -> None:
    html = sum(sys.getsizeof(step.observation.html) for step in episode.steps)
    texts = sum(sys.getsizeof(text) for step in episode.steps for text in _texts(step)) - html
    for kind, size, share in (("HTML", html, HTML_SHARE), ("text", texts, TEXT_SHARE)):
        if size > share * max_bytes:
            raise _too_large(kind, share, max_bytes)


def check_distinct_lines(episode: Episode, max_bytes: int) -> None:
    """Check the distinct lines of an episode's texts before they are redacted, which takes much memory for each.

    Args:
        max_bytes: memory that the work on the episode may add.

    Raises:
        NeedsMoreMemory: if that is too little, and less than the limit of an episode.
        Unreadable: if they are too many for an episode.
    """
    limit = int(DISTINCT_SHARE * max_bytes)
    if sum(len(text) for step in episode.steps for text in _texts(step)) <= limit:
        return
    lines: set[int] = set()
    for step in episode.steps:
        for text in _texts(step):
            for line in text.split("\n"):
                if hash(line) not in lines:
                    lines.add(hash(line))
                    limit -= len(line)
            if limit < 0:
                raise _too_large("different lines", DISTINCT_SHARE, max_bytes)


def _too_large(kind: str, share: float, max_bytes: int) -> Unreadable:
    reason = f"the episode holds more than {size_text(int(share * max_bytes))} of {kind}"
    return NeedsMoreMemory(reason) if max_bytes < EPISODE_BYTES else Unreadable(reason)


def _texts(step: Step) -> Iterator[str]:
    yield from (value for part in (step, step.observation) for value in vars(part).values() if isinstance(value, str))
    yield from (message["content"] for message in step.messages)
    yield from step.refused_answers


def _read(found: Found, options: ReadOptions) -> Episode:
    if not isinstance(found, FoundIn):
        return browsergym.read(found.folder, found.source, options)
    if found.format == "cube":
        return cube.read(found.folder, found.source)
    if reason := detection.NOT_READ.get(found.format):
        raise Refused(f"{found.folder.name} {reason}")
    document, identity = documents.load(found.folder, found.number)
    if atif.is_document(document):
        return atif.read(document, found.source, identity, found.folder.parent)
    if adp.is_document(document):
        return adp.read(document, found.source, identity)
    return session_trace.read(document, found.source, identity)
