"""One pass over the inputs of one merge or many: every stretch of every tensor is read once, whoever wants it.

Memory stays at a few stretches a thread, whatever the models' size (ties also needs a few arrays of one tensor's size).
Weights are read with plain reads into buffers, not mapped.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod

import torch

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import arithmetic, trim
from agentmerge_hub.merging.adapter import Adapted
from agentmerge_hub.merging.checkpoint import Tensor
from agentmerge_hub.merging.formula import Formula, Terms, terms_of
from agentmerge_hub.merging.reading import STRETCH, TORCH, Files, keep_buffers


@dataclass(frozen=True)
class Merge:
    """One of the merges of a pass."""

    formula: Formula
    where: str
    """The spec, for messages."""
    write: Callable[[str, int, torch.Tensor], None]
    """Takes a tensor's name, the index of the first value, and values in the formula's out_dtype."""


def run(
    merges: Sequence[Merge],
    tensors: Mapping[str, Mapping[str, Tensor | Adapted]],
    shapes: Mapping[str, tuple[int, ...]],
    layers: int,
    progress: Callable[[int], None] = lambda values: None,
) -> None:
    """Compute every merge in one pass.

    Args:
        merges: what is wanted.
        tensors: reference → its tensors by name; at least what the merges' formulas name.
        shapes: of the merged tensors; vocabulary tensors may have fewer rows than the inputs'.
        layers: number of layers of the models.
        progress: told the number of values of each finished tensor.

    Raises:
        UserError: where a result is not finite, or an input ends early.
    """
    keep_buffers()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    references = list(dict.fromkeys(reference for merge in merges for reference in merge.formula.references))
    with (
        Files() as files,
        ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        for name, shape in shapes.items():
            inputs = {reference: tensors[reference][name] for reference in references}
            terms = [terms_of(merge.formula, name, layers, merge.where) for merge in merges]
            count = prod(shape)
            kept = trim.masks([merge.formula for merge in merges], terms, inputs, count, files, pool)

            def stretch(begin: int, name=name, inputs=inputs, terms=terms, count=count, kept=kept) -> None:
                end = min(count, begin + STRETCH)
                values = {reference: files.values(tensor, begin, end).float() for reference, tensor in inputs.items()}
                masks = {key: mask[begin:end] for key, mask in kept.items()}
                for merge, own in zip(merges, terms):
                    result = combine(merge.formula, own, values, masks)
                    _finite(result, name, values, merge.where)
                    merge.write(name, begin, result.to(TORCH[merge.formula.out_dtype]))

            for _ in pool.map(stretch, range(0, count, STRETCH)):
                pass
            progress(count)


def _finite(result: torch.Tensor, name: str, values: Mapping[str, torch.Tensor], where: str) -> None:
    # A sum is finite only if every term is; it costs a fraction of a test of each.
    if math.isfinite(float(result.sum())) or bool(torch.isfinite(result).all()):
        return
    for reference, read in values.items():
        if not bool(torch.isfinite(read).all()):
            raise UserError(
                f"{name} of {reference} holds values that are not finite (NaN or infinity): it cannot be merged"
            )
    raise UserError(f"{name} overflows in {where}: the inputs are finite, the merge is not")


def combine(
    formula: Formula, terms: Terms, values: Mapping[str, torch.Tensor], masks: Mapping[trim.Key, torch.Tensor]
) -> torch.Tensor:
    """The formula on values that were read, in float32."""
    models = [values[reference] for reference in formula.models]
    if formula.base is None:
        return arithmetic.linear(models, terms.weights, normalize=terms.normalize)
    base = values[formula.base]
    if formula.method == "ties":
        kept = [masks.get(key) for key in trim.keys(formula, terms)]
        return arithmetic.ties(base, models, kept, terms.weights, normalize=terms.normalize, factor=terms.factor)
    return arithmetic.task_arithmetic(base, models, terms.weights, normalize=terms.normalize, factor=terms.factor)
