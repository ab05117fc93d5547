"""Prove a merged model from its inputs: recompute every tensor, streaming, and compare to the bit.

A folder that plain mergekit-yaml wrote holds the spec it ran (mergekit_config.yml); verified once, it gets the manifest
that says what it was made of. A folder with a manifest is also compared with that.
"""

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from agentmerge_hub import content_hash, manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import by_mergekit, check, lineage, stream
from agentmerge_hub.merging import spec as specs
from agentmerge_hub.merging.checkpoint import Tensor, tensors_of
from agentmerge_hub.merging.formula import Formula, formula_of
from agentmerge_hub.merging.reading import Files, stretches
from agentmerge_hub.merging.sources import Inputs, open_inputs
from agentmerge_hub.merging.spec import Spec


@dataclass(frozen=True)
class Verdict:
    """A merged model that passed."""

    tensors: int
    parameters: int
    reply: str | None
    first: bool
    """It had no manifest before."""


def verify(folder: Path, values: Mapping[str, str], *, reply: bool = True, began: float | None = None) -> Verdict:
    """Check a merged model and its numbers; the first time, write its manifest.

    Args:
        folder: a merged model with its mergekit_config.yml.
        values: bound names to replace, e.g. ``{"agent": "/elsewhere/base-all"}`` where an input has moved.
        reply: also load the model and let it answer.
        began: when the merge was started, in seconds as time.time() gives them; the manifest counts from there.

    Raises:
        UserError: if anything is wrong: every finding in one sentence each.
    """
    file = folder / by_mergekit.SPEC
    if not file.is_file():
        raise UserError(f"{folder} has no {file.name}: it was not made by mergekit-yaml or `agentmerge merge`")
    spec = specs.read(file)
    if values:
        spec = specs.with_values(spec, values, str(file))
    inputs = open_inputs(spec)
    first = not (folder / manifest.NAME).is_file()
    if not first:
        _unchanged(folder)
        _stop_at(folder, list(_moved(folder, spec, inputs)))
    copied = first and check.copy_generation_config(folder, inputs.donor)
    try:
        tensors = tensors_of(folder)
        _stop_at(folder, check.findings(folder, inputs))
        _stop_at(folder, list(different(folder, tensors, spec, inputs)))
        answer = check.reply(folder) if reply else None
    except BaseException:
        if copied:
            (folder / check.GENERATION).unlink()
        raise
    parameters = sum(tensor.count for tensor in tensors.values())
    if first:
        counts = {"tensors": len(tensors), "parameters": parameters, "reply": answer}
        lineage.write_manifest(folder, spec, inputs.folders, counts=counts, started=began)
    return Verdict(len(tensors), parameters, answer, first)


def _unchanged(folder: Path) -> None:
    changed = manifest.verify(folder)
    if changed:
        raise UserError(
            f"{folder} is not what its manifest says: {'; '.join(changed[:5])} (if mergekit-yaml wrote there again, delete "
            f"{folder / manifest.NAME} and verify anew)"
        )


def _stop_at(folder: Path, findings: list[str]) -> None:
    if findings:
        more = f" (and {len(findings) - 5} more)" if len(findings) > 5 else ""
        raise UserError(f"{folder} is not what its inputs give: {'; '.join(findings[:5])}{more}")


def _moved(folder: Path, spec: Spec, inputs: Inputs) -> Iterator[str]:
    """Inputs that are not those the merge was made from."""
    recorded = manifest.read(folder)["inputs"]
    for role, reference in lineage.roles_of(spec).items():
        path = inputs.folders[reference]
        if role in recorded and recorded[role]["sha256"] != content_hash.folder_hash(path):
            yield f"the {role} model at {path} is not the one that was merged (its hash differs)"


def different(folder: Path, tensors: Mapping[str, Tensor], spec: Spec, inputs: Inputs) -> Iterator[str]:
    """A sentence for every tensor that is not finite or not what the inputs give."""
    formula = formula_of(spec)
    with Files() as files:
        differences = {name: _Difference(tensor, files) for name, tensor in tensors.items()}
        if formula is not None:
            _recompute(formula, inputs, str(folder / by_mergekit.SPEC), differences)
        else:
            with _again(folder, spec, inputs) as again:
                _reread(tensors_of(again), files, differences)
        for difference in differences.values():
            yield from difference.sentences()


class _Difference:
    """What was found when a tensor's stretches were compared with what they should be."""

    def __init__(self, tensor: Tensor, files: Files) -> None:
        self.tensor, self.files = tensor, files
        self.wrong, self.infinite, self.largest, self.dtype = 0, 0, 0.0, ""
        self._lock = threading.Lock()

    def compare(self, begin: int, want: torch.Tensor) -> None:
        got = self.files.values(self.tensor, begin, begin + want.numel())
        if got.dtype != want.dtype:
            self.dtype = str(want.dtype).removeprefix("torch.")
            return
        # Bits, not values: -0 is not 0 here, and a NaN equals itself.
        if torch.equal(got.view(torch.uint8), want.view(torch.uint8)):
            return
        differs = (got != want) | (got.signbit() != want.signbit())
        with self._lock:
            self.wrong += int(differs.sum())
            self.infinite += int((~torch.isfinite(got)).sum())
            self.largest = max(self.largest, float((got.float() - want.float()).abs().nan_to_num(0, 0, 0).max()))

    def sentences(self) -> Iterator[str]:
        tensor = self.tensor
        if self.dtype:
            yield f"{tensor.name} is stored as {tensor.dtype}, and the spec says {self.dtype}"
        elif self.infinite:
            yield f"{tensor.name} holds {self.infinite} values that are not finite"
        elif self.wrong:
            yield f"{tensor.name} differs in {self.wrong} of {tensor.count} values, by at most {self.largest:.3g}"


def _recompute(formula: Formula, inputs: Inputs, where: str, differences: Mapping[str, _Difference]) -> None:
    # check.findings has compared names and shapes: every tensor of the pass has its counterpart.
    def compare(name: str, begin: int, want: torch.Tensor) -> None:
        differences[name].compare(begin, want)

    stream.run([stream.Merge(formula, where, compare)], inputs.tensors, inputs.shapes, inputs.layers)


def _reread(expected: Mapping[str, Tensor], files: Files, differences: Mapping[str, _Difference]) -> None:
    for name, tensor in expected.items():
        for begin, end in stretches(tensor.count):
            differences[name].compare(begin, files.values(tensor, begin, end))


@contextlib.contextmanager
def _again(folder: Path, spec: Spec, inputs: Inputs) -> Iterator[Path]:
    """The same merge, run once more by mergekit, in a folder that goes away."""
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", suffix=".again", dir=folder.absolute().parent
    ) as scratch:
        again = Path(scratch) / "model"
        again.mkdir()
        by_mergekit.run(spec, again, inputs)
        yield again
