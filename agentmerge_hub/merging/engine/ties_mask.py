"""The trimming step of TIES: which values of each task vector are kept, as a packed mask a model.

Input: one tensor in the base and in each model. Output: masks of one bit a value. Memory stays below four times the largest
tensor in float32, whatever the number of threads and models.
"""

import itertools
import queue
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np
import torch

from agentmerge_hub.merging.engine.topk import topk_mask, topk_mask_by_sort
from agentmerge_hub.merging.inputs.adapter import AdaptedTensor
from agentmerge_hub.merging.inputs.safetensors_header import Tensor
from agentmerge_hub.merging.inputs.tensor_reader import TensorReader, chunks
from agentmerge_hub.merging.specs.formula import Coefficients, Formula

Key = tuple[str, str, float]
"""Base, model, density: what a mask depends on."""

Mask = np.ndarray
"""uint8, one bit a value, in the order of `numpy.packbits`."""

SEARCH_BYTES = 8.25
"""Bytes a value that one search takes: magnitudes, indices, and packed masks."""


def keys(formula: Formula, coefficients: Coefficients) -> list[Key]:
    """The masks that a TIES formula uses, one a model."""
    return [(str(formula.base), model, density) for model, density in zip(formula.models, coefficients.densities)]


def chunk_of(mask: Mask, begin: int, end: int) -> torch.Tensor:
    """Values begin … end of a mask as booleans; `begin` is a multiple of 8."""
    bits = np.unpackbits(mask[begin // 8 : (end + 7) // 8], count=end - begin)
    return torch.from_numpy(bits.view(np.bool_))


class MaskBuilder:
    """Builds the masks of one tensor after the other with memory that is reused."""

    def __init__(self, largest: int, reader: TensorReader, pool: Executor, threads: int) -> None:
        """Set the memory limit.

        Args:
            largest: number of values of the largest tensor; memory stays below four times its size in float32.
            reader: reads the weights.
            pool: runs the searches.
            threads: of the pool.
        """
        self._limit = 16 * largest
        self._reader, self._pool, self._threads = reader, pool, threads
        self._workspaces: queue.LifoQueue[_Workspace] = queue.LifoQueue()

    def build(
        self,
        formulas: Sequence[Formula],
        coefficients: Sequence[Coefficients],
        inputs: Mapping[str, Tensor | AdaptedTensor],
        count: int,
    ) -> dict[Key, Mask]:
        """The masks of one tensor for every TIES formula; a density of 1 or more has none.

        Args:
            inputs: the tensor in each model.
            count: number of values of the merged tensor.
        """
        needed = dict.fromkeys(
            key for formula, numbers in zip(formulas, coefficients) for key in keys(formula, numbers) if key[2] < 1
        )
        available = self._limit - len(needed) * (count // 8)
        parallel = max(1, min(self._threads, len(needed), int(available / max(1, SEARCH_BYTES * count))))
        self._provide(parallel, count)

        def search(key: Key) -> Mask:
            workspace = self._workspaces.get()
            try:
                # A single search has the pool to itself, and reads with it.
                pool = self._pool if parallel == 1 else None
                return _mask(inputs[key[0]], inputs[key[1]], key[2], count, self._reader, workspace, pool)
            finally:
                self._workspaces.put(workspace)

        if parallel == 1:
            return {key: search(key) for key in needed}
        found = [mask for batch in _batches(needed, parallel) for mask in self._pool.map(search, batch)]
        return dict(zip(needed, found))

    def _provide(self, parallel: int, count: int) -> None:
        """Have `parallel` workspaces of at least `count` values; the smallest that suffice are used again."""
        existing = [self._workspaces.get() for _ in range(self._workspaces.qsize())]
        used = sorted((one for one in existing if one.size >= count), key=lambda one: one.size)[:parallel]
        if sum(one.size for one in used) + (parallel - len(used)) * count > self._limit / SEARCH_BYTES:
            used.clear()
        existing.clear()  # frees what is not used again before new memory is taken
        used += [_Workspace(count) for _ in range(parallel - len(used))]
        for workspace in used:
            self._workspaces.put(workspace)


class _Workspace:
    """The arrays of one search."""

    def __init__(self, count: int) -> None:
        self.size = count
        self.magnitudes = np.empty(count, np.float32)
        self.indices = np.empty(count, np.int32 if count < 2**31 else np.int64)


def _batches(keys: Iterable[Key], size: int) -> Iterable[list[Key]]:
    iterator = iter(keys)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _mask(
    base: Tensor | AdaptedTensor,
    model: Tensor | AdaptedTensor,
    density: float,
    count: int,
    reader: TensorReader,
    workspace: _Workspace,
    pool: Executor | None,
) -> Mask:
    if density <= 0 or count == 0:
        return np.zeros((count + 7) // 8, dtype=np.uint8)
    magnitudes, indices = workspace.magnitudes[:count], workspace.indices[:count]
    _read_magnitudes(magnitudes, base, model, reader, pool)
    if not np.isfinite(magnitudes.max()):
        return np.full((count + 7) // 8, 255, dtype=np.uint8)  # the merge itself reports values that are not finite
    k = max(1, int(density * count))
    mask = topk_mask(magnitudes, k, indices)
    if mask is None:
        _read_magnitudes(magnitudes, base, model, reader, pool)
        mask = np.packbits(topk_mask_by_sort(magnitudes, k))
    return mask


def _read_magnitudes(
    magnitudes: np.ndarray,
    base: Tensor | AdaptedTensor,
    model: Tensor | AdaptedTensor,
    reader: TensorReader,
    pool: Executor | None,
) -> None:
    """|model − base|, in float32."""

    def read(chunk: tuple[int, int]) -> None:
        begin, end = chunk
        row = torch.from_numpy(magnitudes[begin:end])
        torch.sub(reader.values(model, begin, end).float(), reader.values(base, begin, end).float(), out=row).abs_()

    for _ in (pool.map if pool else map)(read, chunks(len(magnitudes))):
        pass
