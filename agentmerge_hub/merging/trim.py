"""The first step of ties: which values of each delta are kept. One tensor is looked at whole, since its largest values are."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import numpy as np
import torch

from agentmerge_hub.merging.adapter import Adapted
from agentmerge_hub.merging.checkpoint import Tensor
from agentmerge_hub.merging.formula import Formula, Terms
from agentmerge_hub.merging.largest import by_sorting, largest
from agentmerge_hub.merging.reading import Files, stretches

Key = tuple[str, str, float]
"""Base, model, density: what a mask depends on."""


def keys(formula: Formula, terms: Terms) -> list[Key]:
    """The masks a ties formula asks for, one a model."""
    return [(str(formula.base), model, density) for model, density in zip(formula.models, terms.densities)]


def masks(
    formulas: Sequence[Formula],
    terms: Sequence[Terms],
    inputs: Mapping[str, Tensor | Adapted],
    count: int,
    files: Files,
    pool: Executor,
) -> dict[Key, torch.Tensor]:
    """The masks of one tensor for every ties formula; a density of 1 or more has none.

    Args:
        inputs: the tensor in each model.
        count: number of values of the merged tensor.
    """
    wanted = dict.fromkeys(key for formula, own in zip(formulas, terms) for key in keys(formula, own) if key[2] < 1)
    found = pool.map(lambda key: _mask(inputs[key[0]], inputs[key[1]], key[2], count, files), wanted)
    return dict(zip(wanted, found))


def _mask(base: Tensor | Adapted, model: Tensor | Adapted, density: float, count: int, files: Files) -> torch.Tensor:
    if density <= 0 or count == 0:
        return torch.zeros(count, dtype=torch.bool)
    sizes, places = _memory(count)
    _fill(sizes, base, model, files)
    if not np.isfinite(sizes.max()):
        return torch.ones(count, dtype=torch.bool)  # the merge itself stops at what is not finite
    k = max(1, int(density * count))
    mask = largest(sizes, k, places)
    if mask is None:
        _fill(sizes, base, model, files)
        mask = by_sorting(sizes, k)
    return torch.from_numpy(mask)


def _fill(sizes: np.ndarray, base: Tensor | Adapted, model: Tensor | Adapted, files: Files) -> None:
    """|model − base|, in float32."""
    for begin, end in stretches(len(sizes)):
        row = torch.from_numpy(sizes[begin:end])
        torch.sub(files.values(model, begin, end).float(), files.values(base, begin, end).float(), out=row).abs_()


_kept = threading.local()


def _memory(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A thread's arrays of at least this length: fresh memory for each tensor would cost more than the search."""
    integer = np.int32 if count < 2**31 else np.int64
    sizes, places = getattr(_kept, "arrays", (np.empty(0, np.float32), np.empty(0, integer)))
    if len(sizes) < count or places.itemsize < np.dtype(integer).itemsize:
        sizes, places = np.empty(count, np.float32), np.empty(count, integer)
        _kept.arrays = sizes, places
    return sizes[:count], places[:count]
