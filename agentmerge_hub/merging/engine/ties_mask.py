"""The trimming step of TIES: which values of each task vector are kept, as a packed mask a model.

Input: one tensor in the base and in each model. Output: masks of one bit a value. Memory stays below four times the largest
tensor in float32, 16 bytes a value, whatever the number of threads and models: a search takes 8.25, the masks that are kept 4
(32 of them; more models are computed in batches), and what threads hold of a chunk the rest.
"""

import itertools
import queue
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import torch

from agentmerge_hub.merging.engine.arithmetic import ALIGNMENT
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


MASK_BYTES = 4.0
"""Bytes of masks at a time, a value of the largest tensor."""


@dataclass(frozen=True)
class Batch:
    """Merges of one tensor whose masks are kept together, for a part of the tensor."""

    merges: tuple[int, ...]
    begin: int
    end: int


def batches(needed: Mapping[int, Collection[Key]], count: int, largest: int) -> list[Batch]:
    """Batches of merges in which all masks take at most `MASK_BYTES` a value of the largest tensor, besides a few bytes each.

    A merge that alone needs more masks is computed part by part of the tensor; each part searches its masks anew.

    Args:
        needed: merge → its masks; none for other methods than TIES.
        count: number of values of the tensor.
        largest: that of the largest tensor.
    """
    most = max(1, int(MASK_BYTES * largest / max(1, (count + 7) // 8)))
    found: list[tuple[list[int], set[Key]]] = []
    for merge, masks in needed.items():
        if not found or len(found[-1][1].union(masks)) > most:
            found.append(([], set()))
        found[-1][0].append(merge)
        found[-1][1].update(masks)
    result = []
    for merges, together in found:
        parts = max(1, -(-len(together) // most))
        size = max(ALIGNMENT, -(-count // (ALIGNMENT * parts)) * ALIGNMENT)
        result += [Batch(tuple(merges), begin, min(count, begin + size)) for begin in range(0, count, size)]
    return result


def keys(formula: Formula, coefficients: Coefficients) -> list[Key]:
    """The masks that a TIES formula uses, one a model."""
    return [(str(formula.base), model, density) for model, density in zip(formula.models, coefficients.densities)]


def stored_keys(formula: Formula, coefficients: Coefficients) -> list[Key]:
    """The masks that are searched; a density of 1 or more has none."""
    return [key for key in keys(formula, coefficients) if key[2] < 1] if formula.method == "ties" else []


def chunk_of(mask: Mask, begin: int, end: int) -> torch.Tensor:
    """Values begin … end of a mask, 0 or 1 in uint8; `begin` is a multiple of 8."""
    return torch.from_numpy(np.unpackbits(mask[begin // 8 : (end + 7) // 8], count=end - begin))


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
        keys: Iterable[Key],
        inputs: Mapping[str, Tensor | AdaptedTensor],
        count: int,
        begin: int,
        end: int,
    ) -> dict[Key, Mask]:
        """Masks of one tensor, of its values begin … end.

        Args:
            keys: of the masks (`stored_keys`).
            inputs: the tensor in each model.
            count: number of values of the merged tensor.
            begin: a multiple of 8.
        """
        needed = dict.fromkeys(keys)
        part = slice(begin // 8, (end + 7) // 8)
        available = self._limit - len(needed) * (part.stop - part.start)
        parallel = max(1, min(self._threads, len(needed), int(available / max(1, SEARCH_BYTES * count))))
        self._provide(parallel, count)

        def search(key: Key) -> Mask:
            workspace = self._workspaces.get()
            try:
                # A single search has the pool to itself, and reads with it.
                pool = self._pool if parallel == 1 else None
                mask = _mask(inputs[key[0]], inputs[key[1]], key[2], count, self._reader, workspace, pool)
                return mask[part].copy() if part.stop - part.start < len(mask) else mask
            finally:
                self._workspaces.put(workspace)

        if parallel == 1:
            return {key: search(key) for key in needed}
        found = [mask for some in _groups_of(needed, parallel) for mask in self._pool.map(search, some)]
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


def _groups_of(keys: Iterable[Key], size: int) -> Iterable[list[Key]]:
    iterator = iter(keys)
    while group := list(itertools.islice(iterator, size)):
        yield group


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
