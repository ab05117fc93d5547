"""Files that hold episodes as JSON documents: one document, a list of them, or one a line."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentmerge_hub.content_hash import short_id
from agentmerge_hub.traces import adp, atif, session_trace
from agentmerge_hub.traces.files import Refused, read_file
from agentmerge_hub.traces.limits import LimitExceeded, memory_limit, time_limit

SUFFIXES = (".json", ".jsonl")
_SIGNS = (b"ATIF-v1.", b'"class_"', b'"agentmerge"')
_HEAD = 64 * 2**10

MAX_DOCUMENTS = 20_000
"""Most documents of a file, or lines of a JSON Lines file. A trajectory with a page takes more than 6 KB, a file at most 128 MB."""

_KEPT_BYTES = 8 * 2**20
"""Largest file whose values stay in memory after its documents are counted: they can take 60 times its bytes."""


def format_of(path: Path) -> str:
    """``atif``, ``adp`` or ``session-trace`` by a file's beginning; empty for any other file. Only its first bytes are read."""
    try:
        if path.is_symlink() or not path.is_file():
            return ""
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    if b'"session"' in head[:200] and _SIGNS[2] in head:
        return "session-trace"
    return "atif" if _SIGNS[0] in head else "adp" if _SIGNS[1] in head else ""


def count(path: Path) -> int:
    """How many documents a file holds; 1 where it cannot be read, so that reading it says why."""
    try:
        with time_limit(), memory_limit():
            return len(_documents(path, _version(path)))
    except (Refused, LimitExceeded, MemoryError):
        return 1
    finally:
        if path.exists() and path.stat().st_size > _KEPT_BYTES:
            _documents.cache_clear()


def load(path: Path, number: int) -> tuple[Any, str]:
    """The document with this number in the file, and the identity of its content.

    Raises:
        Refused: if the file cannot be read.
    """
    documents = _documents(path, _version(path))
    if number >= len(documents):
        raise Refused(f"{path.name} has changed while it was read")
    document = documents[number]
    text = json.dumps(document, sort_keys=True, ensure_ascii=True)
    return document, short_id(text)


def _version(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=2)
def _documents(path: Path, _version: int) -> list[Any]:
    try:
        text = read_file(path).decode("utf-8", "replace")
        values = _values(path, text)
    except Refused as refused:
        raise Refused(f"{path.name} {refused}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not JSON ({str(error)[:80]})") from None
    if session_trace.is_document(values):
        return [values]
    documents = [value for value in values if atif.is_document(value) or adp.is_document(value)]
    if not documents:
        raise Refused(f"{path.name} holds no document of a known format")
    return documents


def _values(path: Path, text: str) -> list[Any]:
    if path.suffix == ".jsonl":
        if text.count("\n") > MAX_DOCUMENTS:
            raise Refused(f"holds more than {MAX_DOCUMENTS:,} lines: split it into several files")
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    value = json.loads(text)
    values = value if isinstance(value, list) else [value]
    if len(values) > MAX_DOCUMENTS:
        raise Refused(f"holds more than {MAX_DOCUMENTS:,} documents: split it into several files")
    return values
