"""Files that hold episodes as JSON documents, gzipped or not: one document, a list of them, or one a line.

A line that is no JSON and a value that is no document have a reason of their own; the other documents of the file are read.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentmerge_hub.files.content_hash import short_id
from agentmerge_hub.plural import counted
from agentmerge_hub.traces.files import Refused, read_file, unpack
from agentmerge_hub.traces.formats import adp, atif, session_trace
from agentmerge_hub.traces.limits import memory_limit, time_limit

MAX_DOCUMENTS = 20_000
"""Most documents of a file. A trajectory with a page takes more than 6 KB, a file at most 128 MB."""

MAX_DAMAGED_LINES = 100
"""Most damaged lines of a file that have an entry each; the others are counted in one."""

_NAMED = 3
"""Values without an entry of their own of which the entry of all names the place."""

_KEPT_BYTES = 8 * 2**20
"""Largest file whose values stay in memory after its documents are counted: they can take 60 times its bytes."""


@dataclass(frozen=True)
class Problem:
    """A part of a file that is no document."""

    label: str
    """What the source of the part adds to the file's: ``:LINE``, or nothing for several parts together."""
    reason: str


def labels(path: Path) -> list[str]:
    """What the source of each entry of a file adds to the file's, in their order: ``#NUMBER`` for a document, ``:LINE`` for a
    damaged line, nothing where the file has one entry. A file that cannot be read has one, so that reading it says why."""
    try:
        with time_limit(), memory_limit():
            entries = _entries(path, _version(path))
            if len(entries) == 1:
                return [""]
            return [one.label if isinstance(one, Problem) else f"#{place}" for place, one in entries]
    except Exception:  # no file may end the work on all others
        return [""]
    finally:
        if path.exists() and path.stat().st_size > _KEPT_BYTES:
            _entries.cache_clear()


def load(path: Path, number: int) -> tuple[Any, str]:
    """The document of an entry with this number, and the identity of its content.

    Raises:
        Refused: if the file or this part of it cannot be read.
    """
    entries = _entries(path, _version(path))
    if number >= len(entries):
        raise Refused(f"{path.name} has changed while it was read")
    document = entries[number][1]
    if isinstance(document, Problem):
        raise Refused(document.reason)
    text = json.dumps(document, sort_keys=True, ensure_ascii=True)
    return document, short_id(text)


def _version(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=2)
def _entries(path: Path, _version: int) -> list[tuple[int, Any]]:
    """The documents of a file with their places in it, and the Problems."""
    try:
        values = _values(path, unpack(read_file(path)))
        return _of_values(path.name, values)
    except Refused as refused:
        raise Refused(f"{path.name} {refused}") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name} is not JSON ({str(error)[:80]})") from None


def _of_values(name: str, values: Iterator[tuple[int, Any]]) -> list[tuple[int, Any]]:
    documents: list[tuple[int, Any]] = []
    damaged: list[tuple[int, Problem]] = []
    n_damaged, unknown = 0, _Unknown()
    for place, value in values:
        if isinstance(value, Problem):
            n_damaged += 1
            if len(damaged) < MAX_DAMAGED_LINES:
                damaged.append((place, value))
            continue
        if place == 0 and session_trace.is_document([value]):
            return [(0, _session(value, values))]
        if _is_document(value):
            documents.append((place, value))
        else:
            unknown.add(place)
        if len(documents) > MAX_DOCUMENTS:
            raise Refused(f"holds more than {MAX_DOCUMENTS:,} documents: split it into several files")
    if not documents:
        first = f": {damaged[0][1].reason}" if damaged else ""
        raise Refused(f"holds no document of a known format{first}")
    others = [unknown.reason()] if unknown.count else []
    if n_damaged > len(damaged):
        others.append(f"{counted(n_damaged - len(damaged), 'more damaged line')}")
    rest = [(-1, Problem("", f"{name} holds {' and '.join(others)}"))] if others else []
    return [*sorted([*documents, *damaged], key=lambda entry: entry[0]), *rest]


class _Unknown:
    """Values that are no documents: how many, and the places of the first."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[int] = []

    def add(self, place: int) -> None:
        self.count += 1
        if len(self.first) < _NAMED:
            self.first.append(place)

    def reason(self) -> str:
        named = ", ".join(f"#{place}" for place in self.first) + (", …" if self.count > _NAMED else "")
        return f"{counted(self.count, 'value')} of no known format, which are left out: {named}"


def _is_document(value: Any) -> bool:
    try:
        return atif.is_document(value) or adp.is_document(value)
    except Exception:  # an odd value is no document, and must not end the work on the others
        return False


def _session(header: Any, rest: Iterator[tuple[int, Any]]) -> list[Any] | Problem:
    """All lines of a session; it has none without a damaged one."""
    lines = [header]
    for _, value in rest:
        if isinstance(value, Problem):
            return value
        lines.append(value)
    return lines


def _values(path: Path, data: bytes) -> Iterator[tuple[int, Any]]:
    """The values of a file with their places, from 0 on. A line that is no JSON gives its Problem. Lines are also read from a
    file whose name does not say so."""
    encoding = json.detect_encoding(data)
    if encoding != "utf-8":
        data = data.decode(encoding, "replace").encode(errors="replace")
    if ".jsonl" not in path.suffixes[-2:]:
        try:
            value = json.loads(data.decode("utf-8", "replace"))
        except json.JSONDecodeError as error:
            if error.msg != "Extra data":
                raise
        else:
            yield from enumerate(value if isinstance(value, list) else [value])
            return
    place = 0
    for number, line in enumerate(io.BytesIO(data), start=1):
        text = line.decode("utf-8", "replace").strip()
        if not text:
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            what = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)[:80]
            value = Problem(f":{number}", f"{path.name}:{number} is not JSON ({what})")
        yield place, value
        place += 1
