"""Tell by its content which format a JSON file of traces has, and why one that looks like a trace is not read."""

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentmerge_hub.traces.files import MAX_BYTES, blocks
from agentmerge_hub.traces.values import as_dict

SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")

_STANDARDIZED = "give the dataset's standardized file (e.g. sample_std.json) or its ATIF file"

NOT_READ = {
    "training-rows": f"holds training rows (`conversations`) such as the Agent Data Protocol's SFT files: {_STANDARDIZED}",
    "raw": "holds what a converter of the Agent Data Protocol starts from (a raw file), which differs from dataset to dataset: "
    f"{_STANDARDIZED}",
    "published-session": "is a session of a published dataset, which shows an episode and does not hold all of it: give the dataset's "
    "folder, or an export of it",
    "link": "is a link to a folder elsewhere, and such links are not followed: copy that folder here, or give it as a root of its own",
    "session": "is a session trace that this package did not export, and such a file does not tell pages from other texts: give the "
    "trajectories that the agent's own program wrote",
}
"""Kinds of files that hold traces in a form that is not read → the reason, as the second half of a sentence."""

_SIGNS = {"atif": '"ATIF-v', "adp": '"class_"'}
_SESSION_SIGNS = ('"session"', '"agentmerge":')
_OVERLAP = 16
"""Characters of the block before in which a sign may begin."""

_RAW_NAME = re.compile(r"(?:.*[._-])?raw\.jsonl?(?:\.gz)?")
_RAW_FIELDS = ({"prompt": str, "response": str}, {"messages": list, "output": str})
"""Fields of the rows of known raw files, and their types."""


def format_of(path: Path) -> str:
    """``atif``, ``adp`` or ``session-trace`` by the names that a file holds, a key of `NOT_READ`, ``unreadable`` for a file that
    cannot be opened, or nothing for any other file."""
    try:
        return _format_of_texts(_texts(path), path.name) if path.is_file() else ""
    except OSError:
        return "unreadable"
    except (RuntimeError, UnicodeError):
        return ""


def _texts(path: Path) -> Iterator[str]:
    decoder = None
    for block in blocks(path, MAX_BYTES):
        decoder = decoder or codecs.getincrementaldecoder(json.detect_encoding(block[:4]))("replace")
        yield decoder.decode(block)


def _format_of_texts(texts: Iterator[str], name: str) -> str:
    """The format by the first name in a text that only it has. Names of a session are all in its first line."""
    missing, before, first = set(_SESSION_SIGNS), "", True
    not_read = None
    for block in texts:
        text = before + block
        if not_read is None and (not_read := _not_read(_first_object(text), name)) == "training-rows":
            break  # whose texts may hold any name
        if first:
            line, end, _ = text.partition("\n")
            missing -= {sign for sign in missing if sign in line}
            first = not end
        if not missing:
            return "session-trace"
        if kind := next((kind for kind, sign in _SIGNS.items() if sign in text), ""):
            return kind
        before = text[-_OVERLAP:]
    return not_read or ""


def _not_read(value: dict[str, Any], name: str) -> str:
    """A key of `NOT_READ` for the first object of a file and the file's name; nothing for another file."""
    if value.get("type") == "session":
        return "published-session" if value.get("harness") == "agentmerge" else "session"
    if isinstance(value.get("conversations"), list):
        return "training-rows"
    if _RAW_NAME.fullmatch(name) and value:
        return "raw"
    of_raw = any(all(isinstance(value.get(key), kind) for key, kind in fields.items()) for fields in _RAW_FIELDS)
    return "raw" if of_raw else ""


def _first_object(text: str) -> dict[str, Any]:
    """The first object of a list, of lines, or alone; an empty one where the text does not hold all of it."""
    try:
        return as_dict(json.JSONDecoder().raw_decode(text.lstrip("[ \t\r\n"))[0])
    except (ValueError, RecursionError):
        return {}
