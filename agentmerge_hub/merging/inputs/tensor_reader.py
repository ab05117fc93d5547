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

CHUNK_SIZE = 1 << 19
"""Values a chunk, a multiple of 8: threads that call on less wait for Python's lock (half as many take 1.15 times as long, a
quarter 1.4 times)."""

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
        self._updates: dict[Path, tuple[str, torch.Tensor]] = {}
        self._updating = threading.Lock()

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
            return self.values(tensor.base, begin, end).float() + self._update(tensor)[begin:end]
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

    def _update(self, tensor: AdaptedTensor) -> torch.Tensor:
        """s·B·A of one tensor, flat. Computed whole, as PEFT does, and kept until the next tensor of the same adapter."""
        with self._updating:
            name, update = self._updates.get(tensor.a.file, ("", torch.empty(0)))
            if name != tensor.name:
                a, b = (
                    self.values(factor, 0, factor.count).float().view(factor.shape) for factor in (tensor.a, tensor.b)
                )
                update = (b @ a * tensor.scale).view(-1)
                self._updates[tensor.a.file] = (tensor.name, update)
            return update


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """Begin and end of each chunk of `count` values."""
    for begin in range(0, count, CHUNK_SIZE):
        yield begin, min(count, begin + CHUNK_SIZE)
