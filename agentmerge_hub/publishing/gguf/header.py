"""Reads the header of a GGUF file, which is untrusted: every count and length is checked before it is used.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little-endian. The tensors have to fill the file.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError

_MAX_HEADER = 128 * 2**20
_MAX_COUNT = 2**16
"""Tensors, and metadata entries."""
_MAX_ITEMS = 2**22
"""Items of an array: tokens and merges of a tokenizer."""
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
NUMBER_FORMATS = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 8: ("Q8_0", 32, 34), 30: ("BF16", 1, 2)}
"""Number of a type → its name, values in a block, bytes of a block. Other types are not published."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file."""

    shape: tuple[int, ...]
    """As in PyTorch: the reverse of the file's order."""
    number_format: str
    start: int
    """Its first byte in the file."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Header:
    """The metadata and the tensors of a file."""

    metadata: dict[str, Any]
    tensors: dict[str, Tensor]
    number_arrays: frozenset[str]
    """Keys of arrays of 1-byte numbers, which could hold anything."""

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))


def read_header(name: str, path: Path) -> Header:
    """The header of a file.

    Args:
        name: for messages.

    Raises:
        UserError: if it is damaged, of another version, larger than a limit, or has data between or behind its tensors.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        data = file.read(_MAX_HEADER)
    try:
        return _Reader(data).header(name, path, size)
    except (struct.error, ValueError, IndexError, OverflowError) as error:
        raise UserError(
            f"{name} is not a GGUF file as llama.cpp writes it ({error}): convert the model again"
        ) from None


class _Reader:
    """Reads values from the bytes of a header."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.bytes_arrays: set[str] = set()

    def header(self, name: str, path: Path, size: int) -> Header:
        if self.data[:4] != b"GGUF":
            raise ValueError("it does not start with GGUF")
        self.at = 4
        version, n_tensors, n_entries = self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        if version != 3 or max(n_tensors, n_entries) > _MAX_COUNT:
            raise ValueError(f"version {version}, {n_tensors} tensors, {n_entries} metadata entries")
        metadata: dict[str, Any] = {}
        for _ in range(n_entries):
            key = self.text()
            if key in metadata:
                raise ValueError(f"the key {key!r} comes twice")
            metadata[key] = self.value(self.scalar("I"), key)
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 4096 or alignment & (alignment - 1):
            raise ValueError("its alignment is no power of 2")
        infos = [self.tensor() for _ in range(n_tensors)]
        start = _aligned(self.at, alignment)
        tensors = _placed(infos, start, alignment)
        _check_layout(name, path, size, self.at, list(tensors.values()), alignment)
        return Header(metadata, tensors, frozenset(self.bytes_arrays))

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.data, self.at)
        self.at += struct.calcsize(code)
        return value

    def text(self) -> str:
        length = self.scalar("Q")
        if length > len(self.data) - self.at:
            raise ValueError("a text goes beyond the header")
        raw = self.data[self.at : self.at + length]
        self.at += length
        return raw.decode("utf-8", "replace")

    def value(self, kind: int, key: str) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind]) if kind in _SCALARS else _unknown(key)
        inner, count = self.scalar("I"), self.scalar("Q")
        if count > _MAX_ITEMS or (inner != _STRING and inner not in _SCALARS):
            raise ValueError(f"the array {key!r} has {count} items of the type {inner}")
        if inner == _STRING:
            return [self.text() for _ in range(count)]
        if inner in (0, 1):
            self.bytes_arrays.add(key)
        values = struct.unpack_from(f"<{count}{_SCALARS[inner]}", self.data, self.at)
        self.at += struct.calcsize(f"<{count}{_SCALARS[inner]}")
        return list(values)

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        """Name, shape, type and offset."""
        name, n_dimensions = self.text(), self.scalar("I")
        if not 0 < n_dimensions <= 4:
            raise ValueError(f"the tensor {name!r} has {n_dimensions} dimensions")
        shape = tuple(self.scalar("Q") for _ in range(n_dimensions))
        kind, offset = self.scalar("I"), self.scalar("Q")
        if kind not in NUMBER_FORMATS:
            known = ", ".join(format for format, _, _ in NUMBER_FORMATS.values())
            raise ValueError(f"the tensor {name!r} has the type {kind}, and {known} are published")
        if any(n == 0 for n in shape) or shape[0] % NUMBER_FORMATS[kind][1]:
            raise ValueError(f"the tensor {name!r} has no whole blocks")
        return name, shape, kind, offset


def _unknown(key: str) -> Any:
    raise ValueError(f"the key {key!r} has an unknown type")


def _aligned(place: int, alignment: int) -> int:
    return -(-place // alignment) * alignment


def _placed(infos: list[tuple[str, tuple[int, ...], int, int]], start: int, alignment: int) -> dict[str, Tensor]:
    """Tensors by name in the order of the file, each directly behind the one before."""
    tensors: dict[str, Tensor] = {}
    place = 0
    for name, shape, kind, offset in sorted(infos, key=lambda info: info[3]):
        number_format, values, n_bytes = NUMBER_FORMATS[kind]
        if offset != place or name in tensors:
            raise ValueError(f"the tensor {name!r} comes twice, or data precede it")
        size = math.prod(shape) // values * n_bytes
        tensors[name] = Tensor(shape[::-1], number_format, start + offset, size)
        place = _aligned(offset + size, alignment)
    return tensors


def _check_layout(name: str, path: Path, size: int, end: int, tensors: list[Tensor], alignment: int) -> None:
    """Refuse data in the padding and behind the last tensor."""
    ends = [end, *(tensor.start + tensor.size for tensor in tensors)]
    if not ends[-1] <= size <= _aligned(ends[-1], alignment):
        raise ValueError("it is cut off, or has data behind its tensors")
    with path.open("rb") as file:
        for place in ends:
            file.seek(place)
            if any(file.read(min(_aligned(place, alignment), size) - place)):
                raise ValueError("it has data between its tensors")
