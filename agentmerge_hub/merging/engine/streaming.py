"""One pass over the inputs of one merge or many: every chunk of every tensor is read once and used by every merge.

Memory stays at a few chunks a thread, whatever the models' size; ties also keeps masks (`ties_mask`). Weights are read with
plain reads into buffers, not mapped. A merge that fails does not stop the others; a full disk fails the last merge.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from math import prod

import torch

from agentmerge_hub.errors import NO_SPACE, UserError, os_error_sentence
from agentmerge_hub.merging.engine import arithmetic, ties_mask
from agentmerge_hub.merging.inputs.adapter import AdaptedTensor
from agentmerge_hub.merging.inputs.safetensors_header import Tensor
from agentmerge_hub.merging.inputs.tensor_reader import CHUNK_SIZE, TORCH_DTYPES, TensorReader, keep_buffers
from agentmerge_hub.merging.specs.formula import Coefficients, Formula, coefficients_of

_LEAST = 1 << 13
"""Values that a thread computes at a time at least."""


@dataclass(frozen=True)
class StreamedMerge:
    """One of the merges of a pass."""

    formula: Formula
    where: str
    """The spec, for messages."""
    write: Callable[[str, int, torch.Tensor], None]
    """Receives a tensor's name, the index of the first value, and values in the formula's out_dtype."""
    discard: Callable[[], None] = lambda: None
    """Frees the disk space of what was written; called where the disk cannot take this merge."""
    finished: Callable[[str], None] = lambda name: None
    """Receives the name of each tensor after all its values, in the order of `shapes`."""
    disk: int = 0
    """The file system that is written to: merges on one of them share its space."""


def run(
    merges: Sequence[StreamedMerge],
    tensors: Mapping[str, Mapping[str, Tensor | AdaptedTensor]],
    shapes: Mapping[str, tuple[int, ...]],
    depth_of: Callable[[str], float],
    progress: Callable[[int], None] = lambda values: None,
    device: str = "cpu",
) -> dict[int, str]:
    """Compute every merge in one pass.

    Args:
        merges: the merges, of models of one architecture.
        tensors: reference → its tensors by name; at least those that the merges' formulas name.
        shapes: of the merged tensors; vocabulary tensors may have fewer rows than the inputs'.
        depth_of: a tensor's layer as a share of the depth (`Architecture.depth`); used where a formula has values by layer.
        progress: called with the number of values of each finished tensor.
        device: where values are computed, ``cpu`` or ``cuda``. The numbers are the same: what a GPU rounds otherwise (linear,
            sums of many models) is computed on the CPU.

    Returns:
        Index of each merge that failed → why: its result is not finite, one of its inputs ends early, or the disk is full.
        The others are complete.
    """
    keep_buffers()
    references = list(dict.fromkeys(reference for merge in merges for reference in merge.formula.references))
    largest = max((prod(shape) for shape in shapes.values()), default=0)
    threads, chunk_size = thread_count(merges, len(references), largest)
    failed: dict[int, str] = {}
    with (
        TensorReader() as reader,
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        masks = ties_mask.MaskBuilder(largest, reader, pool, threads)
        for name, shape in shapes.items():
            active = {index: merge for index, merge in enumerate(merges) if index not in failed}
            if not active:
                break
            count = prod(shape)
            depth = depth_of(name) if any(merge.formula.has_lists for merge in active.values()) else 0.0
            numbers = _coefficients(active, name, depth, failed)
            needed = {index: ties_mask.stored_keys(active[index].formula, found) for index, found in numbers.items()}
            for batch in ties_mask.batches(needed, count, largest):
                together = {index: active[index] for index in batch.merges}
                read = dict.fromkeys(one for merge in together.values() for one in merge.formula.references)
                inputs = {reference: tensors[reference][name] for reference in read}
                keys = chain.from_iterable(needed[index] for index in together)
                built = masks.build(keys, inputs, count, batch.begin, batch.end)
                tensor = _TensorMerge(name, batch, inputs, together, numbers, reader, failed, device, built)
                # Threads share the iterator: a task a chunk costs more than the chunk.
                begins = iter(range(batch.begin, batch.end, chunk_size))
                for _ in pool.map(tensor.merge_chunks, repeat(begins, threads), repeat(chunk_size)):
                    pass
            for index in numbers:
                if index not in failed:
                    merges[index].finished(name)
            progress(count)
    return failed


def _coefficients(
    merges: Mapping[int, StreamedMerge], tensor: str, depth: float, failed: dict[int, str]
) -> dict[int, Coefficients]:
    """The coefficients of one tensor in each merge; a merge whose settings give none has failed."""
    found = {}
    for index, merge in merges.items():
        try:
            found[index] = coefficients_of(merge.formula, tensor, depth, merge.where)
        except UserError as error:
            failed[index] = str(error)
    return found


def thread_count(merges: Sequence[StreamedMerge], references: int, largest: int) -> tuple[int, int]:
    """Number of threads, and of values that a thread computes at a time.

    One thread a CPU; with TIES as many as fit, beside a search for a mask and the masks that are kept, into four times the
    largest tensor in float32. Where not even one fits, it computes fewer values at a time.
    """
    if all(merge.formula.method != "ties" for merge in merges):
        return cpu_count(), CHUNK_SIZE
    # float32 chunks that a thread holds: stored and converted inputs, and intermediate results of the largest merge
    chunks = 1.5 * references + 6 + 4.5 * max(len(merge.formula.models) for merge in merges)
    masks = min(sum(len(merge.formula.models) for merge in merges) / 8, ties_mask.MASK_BYTES)
    values = (16 - ties_mask.SEARCH_BYTES - masks) * largest / (4 * chunks)
    threads = max(1, min(cpu_count(), int(values / CHUNK_SIZE)))
    return threads, min(CHUNK_SIZE, max(_LEAST, int(values) // arithmetic.ALIGNMENT * arithmetic.ALIGNMENT))


def cpu_count() -> int:
    """Number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _TensorMerge:
    """One tensor, or a part of it, in the merges of a batch."""

    def __init__(
        self,
        name: str,
        batch: ties_mask.Batch,
        inputs: Mapping[str, Tensor | AdaptedTensor],
        merges: Mapping[int, StreamedMerge],
        numbers: Mapping[int, Coefficients],
        reader: TensorReader,
        failed: dict[int, str],
        device: str,
        masks: Mapping[ties_mask.Key, ties_mask.Mask],
    ) -> None:
        self.name, self.batch, self.inputs, self.merges, self.numbers = name, batch, inputs, merges, numbers
        self.reader, self.failed, self.device, self.masks = reader, failed, device, masks
        self._lock = threading.Lock()

    def merge_chunks(self, begins: Iterator[int], size: int) -> None:
        """Merge the chunks that begin at the next values of an iterator, until it ends."""
        for begin in begins:
            self._merge_chunk(begin, size)

    def _merge_chunk(self, begin: int, size: int) -> None:
        """Read one chunk of every input, and write it of every merge."""
        end = min(self.batch.end, begin + size)
        values: dict[str, torch.Tensor] = {}
        problems: dict[str, str] = {}
        for reference, tensor in self.inputs.items():
            try:
                values[reference] = self.reader.values(tensor, begin, end).float()
            except UserError as error:
                problems[reference] = str(error)
        first = self.batch.begin
        masks = {key: ties_mask.chunk_of(mask, begin - first, end - first) for key, mask in self.masks.items()}
        for index, merge in self.merges.items():
            if index in self.failed:
                continue
            problem = next((problems[name] for name in merge.formula.references if name in problems), None)
            if problem is None:
                result = self._combine(merge.formula, self.numbers[index], values, masks)
                problem = self._not_finite(result, merge, values)
            if problem is None:
                self._write(index, begin, result.to(TORCH_DTYPES[merge.formula.out_dtype]))
            else:
                with self._lock:
                    self.failed.setdefault(index, problem)

    def _write(self, index: int, begin: int, values: torch.Tensor) -> None:
        """Write a chunk of a merge. Where the disk is full, the last merge on it is discarded, so that the others fit."""
        merge = self.merges[index]
        while True:
            before = len(self.failed)
            if index in self.failed:
                return
            try:
                merge.write(self.name, begin, values)
                return
            except OSError as error:
                if error.errno not in (*NO_SPACE, errno.EFBIG):
                    raise
                with self._lock:
                    if len(self.failed) > before:
                        continue  # another thread has freed space
                    sharing = [i for i in self.merges if i not in self.failed and self.merges[i].disk == merge.disk]
                    last = max(sharing) if error.errno in NO_SPACE else index  # a file too large fails alone
                    self.failed[last] = os_error_sentence(error) or str(error)
                    self.merges[last].discard()

    def _combine(
        self,
        formula: Formula,
        numbers: Coefficients,
        values: Mapping[str, torch.Tensor],
        masks: Mapping[ties_mask.Key, torch.Tensor],
    ) -> torch.Tensor:
        """The formula, on the device that gives the same numbers as the CPU."""
        if self.device == "cpu" or formula.base is None or len(formula.models) > arithmetic.MOST_IN_ORDER:
            return combine(formula, numbers, values, masks)
        moved = {reference: values[reference].to(self.device) for reference in formula.references}
        moved_masks = {key: masks[key].to(self.device) for key in ties_mask.keys(formula, numbers) if key in masks}
        return combine(formula, numbers, moved, moved_masks).cpu()

    def _not_finite(self, result: torch.Tensor, merge: StreamedMerge, values: Mapping[str, torch.Tensor]) -> str | None:
        """Why a result is not finite in the output type; None if it is."""
        out = TORCH_DTYPES[merge.formula.out_dtype]
        if is_finite(result, out):
            return None
        for reference in merge.formula.references:
            if not bool(torch.isfinite(values[reference]).all()):
                return f"{self.name} of {reference} holds values that are not finite (NaN or infinity): it cannot be merged"
        return (
            f"{self.name} is not finite in {merge.where}: the inputs are finite, the merge overflows "
            f"{str(out).removeprefix('torch.')}"
        )


def is_finite(values: torch.Tensor, out: torch.dtype) -> bool:
    """Whether float32 values are finite after rounding to the output type."""
    # No value is larger than the root of the sum of squares, which costs a sixth of a search for the largest.
    bound = min(torch.finfo(out).max, 1e18)
    if float(torch.dot(values, values)) <= bound * bound:
        return True
    # Rounding is monotonic: every value rounds to a finite one if the smallest and the largest do. NaN is in both.
    return bool(torch.isfinite(torch.stack(torch.aminmax(values)).to(out)).all())


def combine(
    formula: Formula,
    numbers: Coefficients,
    values: Mapping[str, torch.Tensor],
    masks: Mapping[ties_mask.Key, torch.Tensor],
) -> torch.Tensor:
    """The formula on values that were read, in float32."""
    models = [values[reference] for reference in formula.models]
    if formula.base is None:
        return arithmetic.linear(models, numbers.weights, normalize=numbers.normalize)
    base = values[formula.base]
    if formula.method == "ties":
        kept = [masks.get(key) for key in ties_mask.keys(formula, numbers)]
        return arithmetic.ties(base, models, kept, numbers.weights, normalize=numbers.normalize, factor=numbers.factor)
    return arithmetic.task_arithmetic(base, models, numbers.weights, normalize=numbers.normalize, factor=numbers.factor)
