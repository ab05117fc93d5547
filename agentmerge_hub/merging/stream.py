"""One pass over the inputs of a merge: tensor by tensor, stretch by stretch, each read once for every merge that wants it.

Memory stays at a few stretches whatever the models' size. Weights are read with plain reads into buffers, not mapped.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import arithmetic
from agentmerge_hub.merging.checkpoint import BYTES, Tensor
from agentmerge_hub.merging.formula import Formula, Terms

STRETCH = 1 << 18
"""Values a stretch: small enough that the arithmetic's buffers stay in a core's cache."""

TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32, "F64": torch.float64}
"""Floating-point types that can be merged."""


class Files:
    """Open weight files, read by position."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)

    def values(self, tensor: Tensor, begin: int, end: int) -> torch.Tensor:
        """Values begin … end of a tensor as stored, flat.

        Raises:
            UserError: if the file ends before them.
        """
        if tensor.file not in self._descriptors:
            self._descriptors[tensor.file] = os.open(tensor.file, os.O_RDONLY)
        width = BYTES[tensor.dtype]
        buffer = torch.empty((end - begin) * width, dtype=torch.uint8)
        view, done = memoryview(buffer.numpy()), 0
        while done < len(view):
            got = os.preadv(self._descriptors[tensor.file], [view[done:]], tensor.begin + begin * width + done)
            if got == 0:
                raise UserError(f"{tensor.file} ends inside {tensor.name}: the checkpoint is cut short")
            done += got
        return buffer.view(TORCH[tensor.dtype])


def stretches(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch of a tensor, in values."""
    for begin in range(0, tensor.count, STRETCH):
        yield begin, min(tensor.count, begin + STRETCH)


def merged(
    formula: Formula, terms: Terms, inputs: Mapping[str, Tensor], files: Files, begin: int, end: int
) -> torch.Tensor:
    """Values begin … end of one merged tensor, flat, in the merge's out_dtype.

    Args:
        inputs: the tensor in each model, by reference.
    """
    values = {reference: files.values(inputs[reference], begin, end).float() for reference in formula.references}
    return combine(formula, terms, values).to(TORCH[formula.out_dtype])


def combine(formula: Formula, terms: Terms, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The formula on values that were read, in float32."""
    models: Sequence[torch.Tensor] = [values[reference] for reference in formula.models]
    if formula.base is None:
        return arithmetic.linear(models, terms.weights, normalize=terms.normalize)
    return arithmetic.task_arithmetic(
        values[formula.base], models, terms.weights, normalize=terms.normalize, factor=terms.factor
    )
