"""Compares a merged model's tensors with what they should be, to the bit: with a formula's results, or with other files."""

import threading
from collections.abc import Iterator, Mapping

import torch

from agentmerge_hub.merging.engine import streaming
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.safetensors_header import Tensor
from agentmerge_hub.merging.inputs.tensor_reader import TensorReader, chunks
from agentmerge_hub.merging.specs.formula import Formula


def compare_with_formula(
    tensors: Mapping[str, Tensor], formula: Formula, inputs: MergeInputs, where: str
) -> Iterator[str]:
    """A sentence for every tensor that is not finite or not what the formula gives.

    Args:
        tensors: of the merged model; the same names and shapes as `inputs.shapes`.
        where: the spec, for messages.
    """
    with TensorReader() as reader:
        found = {name: _Comparison(tensor, reader) for name, tensor in tensors.items()}
        failed = streaming.run(
            [streaming.StreamedMerge(formula, where, lambda name, begin, want: found[name].compare(begin, want))],
            inputs.tensors,
            inputs.shapes,
            inputs.architecture.depth,
        )
        yield from failed.values()
        for comparison in found.values():
            yield from comparison.sentences()


def compare_with_files(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    """A sentence for every tensor that is not finite, or not stored alike in another model."""
    for name in expected.keys() - tensors.keys():
        yield f"{name} is missing"
    for name in tensors.keys() - expected.keys():
        yield f"{name} is in none of its inputs"
    with TensorReader() as reader:
        for name in sorted(expected.keys() & tensors.keys()):
            comparison = _Comparison(tensors[name], reader)
            if expected[name].shape != tensors[name].shape:
                yield f"{name} is {list(tensors[name].shape)}, and should be {list(expected[name].shape)}"
                continue
            for begin, end in chunks(expected[name].count):
                comparison.compare(begin, reader.values(expected[name], begin, end))
            yield from comparison.sentences()


class _Comparison:
    """What was found when a tensor's chunks were compared with what they should be."""

    def __init__(self, tensor: Tensor, reader: TensorReader) -> None:
        self.tensor, self.reader = tensor, reader
        self.wrong, self.infinite, self.largest, self.dtype = 0, 0, 0.0, ""
        self._lock = threading.Lock()

    def compare(self, begin: int, want: torch.Tensor) -> None:
        got = self.reader.values(self.tensor, begin, begin + want.numel())
        if got.dtype != want.dtype:
            self.dtype = str(want.dtype).removeprefix("torch.")
            return
        infinite = 0 if streaming.is_finite(got.float(), got.dtype) else int((~torch.isfinite(got)).sum())
        # Bits, not values: -0 is not 0 here.
        same = torch.equal(got.view(torch.uint8), want.view(torch.uint8))
        if same and not infinite:
            return
        differs = (got != want) | (got.signbit() != want.signbit())
        with self._lock:
            self.infinite += infinite
            self.wrong += 0 if same else int(differs.sum())
            self.largest = max(self.largest, float((got.float() - want.float()).abs().nan_to_num(0, 0, 0).max()))

    def sentences(self) -> Iterator[str]:
        tensor = self.tensor
        if self.dtype:
            yield f"{tensor.name} is stored as {tensor.dtype}, and the spec says {self.dtype}"
        elif self.infinite:
            yield f"{tensor.name} holds {self.infinite} values that are not finite"
        elif self.wrong:
            yield f"{tensor.name} differs in {self.wrong} of {tensor.count} values, by at most {self.largest:.3g}"
