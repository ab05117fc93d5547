"""Reads weights by position, a chunk at a time, into buffers: no file is mapped, so none stays in memory."""

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import torch

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.adapter import AdaptedTensor
from agentmerge_hub.merging.inputs.safetensors_header import DTYPE_BYTES, Tensor

CHUNK_SIZE = 1 << 18
"""Values a chunk, a multiple of 64 (`arithmetic.ALIGNMENT`): fewer wait for Python's lock, more leave the cache (a quarter as
many, and twice as many, take 1.5 times as long)."""

_LEAST_ROWS = 16
"""Rows of a product; fewer than four are another routine of BLAS, which rounds otherwise."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

TORCH_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
"""Floating-point types that can be merged."""


def keep_buffers() -> None:
    """Let glibc's malloc keep the memory of one chunk for the next.

    Without it, malloc returns the memory to the system and gets it back as fresh pages: up to half of a pass's time. Other C
    libraries are left as they are.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 25)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)


class TensorReader:
    """Open weight files, read by position, from any thread."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}
        self._lock = threading.Lock()
        self._factors: dict[Path, tuple[str, torch.Tensor, torch.Tensor]] = {}
        self._reading_factors = threading.Lock()

    def __enter__(self) -> "TensorReader":
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    def values(self, tensor: Tensor | AdaptedTensor, begin: int, end: int) -> torch.Tensor:
        """Values begin … end of a tensor, flat, as stored; of an adapted tensor in float32, its low-rank update added.

        Raises:
            UserError: if the file ends before them.
        """
        if isinstance(tensor, AdaptedTensor):
            return self.values(tensor.base, begin, end).float() + self._update(tensor, begin, end)
        with self._lock:
            if tensor.file not in self._descriptors:
                self._descriptors[tensor.file] = os.open(tensor.file, os.O_RDONLY)
        width = DTYPE_BYTES[tensor.dtype]
        buffer = torch.empty((end - begin) * width, dtype=torch.uint8)
        view, done = buffer.numpy().data, 0
        while done < len(view):
            got = os.preadv(self._descriptors[tensor.file], [view[done:]], tensor.begin + begin * width + done)
            if got == 0:
                raise UserError(f"{tensor.file} ends inside {tensor.name}: the checkpoint is cut short")
            done += got
        return buffer.view(TORCH_DTYPES[tensor.dtype])

    def _update(self, tensor: AdaptedTensor, begin: int, end: int) -> torch.Tensor:
        """Values begin … end of s·B·A, flat. Whole rows are computed, and not few: their values are those of the whole product
        to the bit, which PEFT computes."""
        a, b = self._factors_of(tensor)
        rows, columns = tensor.shape
        first = max(0, min(begin // columns, rows - _LEAST_ROWS))
        last = min(rows, max(-(-end // columns), first + _LEAST_ROWS))
        update = (b[first:last] @ a).mul_(tensor.scale).view(-1)
        return update[begin - first * columns : end - first * columns]

    def _factors_of(self, tensor: AdaptedTensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A and B in float32, kept until the next tensor of the same adapter."""
        with self._reading_factors:
            name, a, b = self._factors.get(tensor.a.file, ("", None, None))
            if a is None or b is None or name != tensor.name:
                a, b = (self.values(one, 0, one.count).float().view(one.shape) for one in (tensor.a, tensor.b))
                self._factors[tensor.a.file] = (tensor.name, a, b)
            return a, b


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each chunk of `count` values."""
    for begin in range(0, count, CHUNK_SIZE):
        yield begin, min(count, begin + CHUNK_SIZE)
