"""Safetensors files → the texts in them: tensor names, metadata, and text that is written into the numbers.

Text counts as such where the bytes or the values of neighboring numbers are its characters; what is hidden with more effort
than that is not found.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import strict_json
from agentmerge_hub.publishing.publish_checks.encodings import MIN_CODES, texts_of_codes
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I64": 8, "I32": 4}
"""Bytes of the numbers that weights hold; other integers could hold anything."""
_INTEGERS = {"I64": "<i8", "I32": "<i4"}
_POSITIONS = re.compile(r"(?:.*\.)?position_ids")
"""Name of the only tensor of integers that models save: the numbers from 0 on."""
_ENTRY = {"dtype", "shape", "data_offsets"}
_MAX_DIMENSIONS = 6
_MAX_HEADER = 100 * 2**20
_CHUNK = 2**25
"""Bytes of numbers that are searched at a time."""
_OVERLAP = 2**13
_WORD = re.compile(rb"(?=[\x20-\x7e\t\r\n]{20})(?=[\x20-\x7e]*?[A-Za-z0-9_./@+~-]{12})[\x20-\x7e\t\r\n]+")
"""Printable bytes with an unbroken word: bytes of weights do not have one by chance."""
_HIGH, _SPACES = np.uint64(0x8080808080808080), np.uint64(0x2020202020202020)


def safetensors_header(name: str, content: Content) -> dict[str, Any]:
    """The header of a safetensors file (https://huggingface.co/docs/safetensors): tensors and ``__metadata__``.

    Raises:
        UserError: if it is not one, holds anything beside tensors and metadata, or the tensors do not fill the file exactly.
    """
    if isinstance(content, bytes):
        size, head = len(content), content[:8]
        raw = content[8 : 8 + int.from_bytes(head, "little")]
    else:
        size = content.stat().st_size
        with content.open("rb") as file:
            head = file.read(8)
            raw = file.read(min(int.from_bytes(head, "little"), _MAX_HEADER))
    try:
        header = strict_json.loads(raw)
        entries = [(key, entry) for key, entry in header.items() if key != "__metadata__"]
        spans = sorted((*entry["data_offsets"], entry["dtype"], key) for key, entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{name} is not a safetensors file, which its name promises: remove it") from None
    end = 0
    for start, stop, dtype, key in spans:
        if start != end or stop < start:
            raise UserError(f"{name} has data between its tensors: save the weights again")
        if dtype not in _BYTES or (dtype in _INTEGERS and not _POSITIONS.fullmatch(key)):
            raise UserError(f"{name} holds tensors of the type {dtype}, which are not published")
        if not _is_entry(header[key], stop - start):
            raise UserError(f"{name} describes a tensor by other than type, shape and place: save the weights again")
        end = stop
    if 8 + int.from_bytes(head, "little") + end != size:
        raise UserError(f"{name} is cut off or has data behind its tensors: save the weights again")
    return header


def _is_entry(entry: dict[str, Any], n_bytes: int) -> bool:
    shape = entry["shape"] if entry.keys() == _ENTRY else None
    return (
        isinstance(shape, list)
        and len(shape) <= _MAX_DIMENSIONS
        and all(type(size) is int and size > 0 for size in shape)
        and math.prod(shape) * _BYTES[entry["dtype"]] == n_bytes
    )


def safetensors_texts(name: str, content: Content) -> Iterator[Text]:
    """Tensor names, metadata and text among the numbers of a safetensors file.

    Raises:
        UserError: if it is not one, or a tensor of integers is not the positions of tokens.
    """
    header = safetensors_header(name, content)
    metadata = header.pop("__metadata__", {})
    yield from (Text(f"{name}'s tensor names", key) for key in header)
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UserError(f"{name} has metadata that are not texts: save the weights again")
    yield from (Text(f"{name}'s metadata", f'"{key}": "{value}"', document=True) for key, value in metadata.items())
    if header:
        data = np.memmap(content, np.uint8, "r") if isinstance(content, Path) else np.frombuffer(content, np.uint8)
        data = data[8 + int.from_bytes(bytes(data[:8]), "little") :]
        for key, entry in header.items():
            start, stop = entry["data_offsets"]
            yield from (Text(f"{name}'s numbers", text) for text in _number_texts(name, key, entry, data[start:stop]))


def _number_texts(name: str, key: str, entry: dict[str, Any], data: np.ndarray) -> Iterator[str]:
    if entry["dtype"] in _INTEGERS:
        numbers = np.frombuffer(data.tobytes(), np.dtype(_INTEGERS[entry["dtype"]]))
        if not np.array_equal(numbers, np.arange(len(numbers))):
            raise UserError(f"{name}: {key} does not hold the positions of tokens: remove it from the weights")
        return
    for start in range(0, len(data), _CHUNK):
        raw = data[max(0, start - _OVERLAP) : start + _CHUNK].tobytes()
        yield from texts_of_codes(_possible_codes(entry["dtype"], raw))
        yield from _printable(raw)


def _possible_codes(dtype: str, raw: bytes) -> list[float]:
    """The numbers other than zero, if enough of them are between 8 and 128: weights of a network hardly ever are."""
    if dtype.startswith("F8"):
        return []
    if dtype == "BF16":
        halves = np.frombuffer(raw, "<u2")
        if np.count_nonzero((halves >= 0x4100) & (halves < 0x4300)) < MIN_CODES:
            return []
        values = (halves.astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(raw, np.dtype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]))
    near = (values >= 8) & (values < 128)
    if np.count_nonzero(near) < MIN_CODES or np.count_nonzero(values[near] == np.floor(values[near])) < MIN_CODES:
        return []
    return values[values != 0].tolist()


def _printable(raw: bytes) -> Iterator[str]:
    """Texts of at least 23 characters: two neighboring words of eight bytes are printable then."""
    words = np.frombuffer(raw, "<u8", len(raw) // 8)
    printable = ((words | (words - _SPACES)) & _HIGH) == 0
    last = -1
    for place in (np.flatnonzero(printable[:-1] & printable[1:]) * 8).tolist():
        if place > last:
            found = _WORD.search(raw, max(0, place - 8), place + 2**12)
            last = max(place, found.end() if found else 0)
            if found:
                yield found[0].decode("ascii")
