"""Writes safetensors files by position: all sizes are known before the first byte, so chunks can come in any order."""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path

import torch

from agentmerge_hub.merging.engine.progressive_hash import ProgressiveHash
from agentmerge_hub.merging.inputs.safetensors_header import DTYPE_BYTES
from agentmerge_hub.merging.merge_job import SHARD_BYTES


class ShardWriter:
    """The weight files of one merged model, open for writing."""

    def __init__(
        self, folder: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str, limit: int = SHARD_BYTES
    ) -> None:
        """Create the files with their headers, and the index if there are several.

        Args:
            folder: the model's folder.
            shapes: of every tensor, in the order of writing.
            dtype: of all of them, as safetensors writes it.
            limit: bytes a file; a tensor is never split, so one larger than this has a file of its own.
        """
        self._width = DTYPE_BYTES[dtype]
        self._positions: dict[str, tuple[int, int]] = {}
        self._ends: dict[str, int] = {}
        self._descriptors: list[int] = []
        self._hashes: dict[int, tuple[str, ProgressiveHash]] = {}
        groups = list(_groups(shapes, self._width, limit))
        weight_map: dict[str, str] = {}
        for number, group in enumerate(groups, 1):
            name = f"model-{number:05d}-of-{len(groups):05d}.safetensors" if len(groups) > 1 else "model.safetensors"
            weight_map |= dict.fromkeys(group, name)
            try:
                self._create(folder / name, {tensor: shapes[tensor] for tensor in group}, dtype)
            except OSError:
                self.close()  # open files keep their space on the disk
                raise
        if len(groups) > 1:
            total = sum(prod(shape) for shape in shapes.values()) * self._width
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")

    def _create(self, path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str) -> None:
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        starts: dict[str, int] = {}
        offset = 0
        for name, shape in shapes.items():
            starts[name] = offset
            size = prod(shape) * self._width
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
            offset += size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # safetensors aligns the first tensor
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._descriptors.append(descriptor)
        self._hashes[descriptor] = (path.name, ProgressiveHash(path))
        _write_all(descriptor, memoryview(struct.pack("<Q", len(text)) + text), 0)
        for name, start in starts.items():
            self._positions[name] = (descriptor, 8 + len(text) + start)
            self._ends[name] = 8 + len(text) + start + prod(shapes[name]) * self._width

    def write(self, name: str, begin: int, values: torch.Tensor) -> None:
        """Write values of a tensor, the first at index `begin`."""
        descriptor, start = self._positions[name]
        view = values.contiguous().view(torch.uint8).numpy().data
        _write_all(descriptor, view, start + begin * self._width)

    def hash_up_to(self, name: str) -> None:
        """Hash what was written, up to the end of a tensor: it and those before it in its file are whole."""
        descriptor, _ = self._positions[name]
        self._hashes[descriptor][1].advance(self._ends[name])

    def hashes(self) -> dict[str, str]:
        """File → sha256, of finished files.

        Raises:
            OSError: if a file cannot be read, or the disk did not take what was written.
        """
        return {name: progressive.hexdigest() for name, progressive in self._hashes.values()}

    def discard(self) -> None:
        """Empty the files: their disk space is free at once, while other threads may still write."""
        for descriptor in self._descriptors:
            os.ftruncate(descriptor, 0)

    def close(self) -> None:
        """Close the files."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def _groups(shapes: Mapping[str, tuple[int, ...]], width: int, limit: int) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for name, shape in shapes.items():
        bytes_ = prod(shape) * width
        if group and size + bytes_ > limit:
            yield group
            group, size = [], 0
        group.append(name)
        size += bytes_
    yield group


def _write_all(descriptor: int, view: memoryview, offset: int) -> None:
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
