"""Keys that are equal for samples that are exactly or nearly the same."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from agentmerge_hub.records import Message

_NOISE = re.compile(
    r"\b[0-9a-f]{32}\b"  # ServiceNow's sys_id
    r"|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"  # UUID
    r"|\b\d{4}-\d\d-\d\d[ t]\d\d:\d\d(?::\d\d(?:\.\d+)?)?z?\b"  # date with time
    r"|\b\d{1,2}:\d\d:\d\d(?: ?[ap]m)?\b"
)
"""What differs between runs on the same page. Plain numbers stay, because tasks are often about them."""


def exact_key(messages: Iterable[Message], picture: bytes = b"") -> str:
    """Equal for samples with the same prompt, picture and answer."""
    return _digest([message["content"] for message in messages], picture)


def near_key(messages: Iterable[Message], picture: bytes = b"") -> str:
    """Equal for samples that differ only in ids, times of day, letter case or spacing of their texts."""
    texts = [" ".join(filter(None, map(_plain, message["content"].split("\n")))) for message in messages]
    return _digest(texts, picture)


@lru_cache(maxsize=100_000)
def _plain(line: str) -> str:
    """A line without what differs between runs. Pages share most lines, hence the cache."""
    return _NOISE.sub("#", " ".join(line.lower().split()))


def _digest(texts: Sequence[str], picture: bytes) -> str:
    of_picture = hashlib.sha256(picture).digest() if picture else b""
    return hashlib.sha256("\0".join(texts).encode() + of_picture).hexdigest()[:24]
