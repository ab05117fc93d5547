"""Prove a merged model from its inputs: recompute every tensor, streaming, and compare to the bit.

A folder that plain mergekit-yaml wrote holds the spec it ran (mergekit_config.yml); verified once, it gets the manifest
that says what it was made of. A folder with a manifest is also compared with that.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import check, lineage
from agentmerge_hub.merging import spec as specs
from agentmerge_hub.merging.checkpoint import Tensor, config_of, tensors_of
from agentmerge_hub.merging.formula import Formula, formula_of, terms_of
from agentmerge_hub.merging.spec import Spec
from agentmerge_hub.merging.stream import TORCH, Files, merged, stretches

SPEC = "mergekit_config.yml"


@dataclass(frozen=True)
class Verdict:
    """A merged model that passed."""

    tensors: int
    parameters: int
    reply: str | None
    first: bool
    """It had no manifest before."""


def verify(folder: Path, values: Mapping[str, str], *, reply: bool = True) -> Verdict:
    """Check a merged model and its numbers; the first time, write its manifest.

    Args:
        folder: a merged model with its mergekit_config.yml.
        values: bound names to replace, e.g. ``{"agent": "/elsewhere/base-all"}`` where an input has moved.
        reply: also load the model and let it answer.

    Raises:
        UserError: if anything is wrong: every finding in one sentence each.
    """
    if not (folder / SPEC).is_file():
        raise UserError(f"{folder} has no {SPEC}: it was not made by mergekit-yaml or `agentmerge merge`")
    spec = specs.read(folder / SPEC)
    where = str(folder / SPEC)
    if values:
        spec = specs.with_values(spec, values, where)
    inputs = lineage.inputs_of(spec)
    donor = inputs[lineage.donor_of(spec)]
    first = not (folder / manifest.NAME).is_file()
    if not first:
        _stop_at(folder, [*manifest.verify(folder), *_moved(folder, spec, inputs)])
    copied = first and check.copy_generation_config(folder, donor)
    try:
        _stop_at(folder, check.findings(folder, donor))
        tensors = tensors_of(folder)
        _stop_at(folder, list(different(folder, tensors, spec, inputs)))
        answer = check.reply(folder) if reply else None
    except BaseException:
        if copied:
            (folder / check.GENERATION).unlink()
        raise
    parameters = sum(tensor.count for tensor in tensors.values())
    if first:
        counts = {"tensors": len(tensors), "parameters": parameters, "reply": answer}
        lineage.write_manifest(folder, spec, inputs, counts=counts)
    return Verdict(len(tensors), parameters, answer, first)


def _stop_at(folder: Path, findings: list[str]) -> None:
    if findings:
        more = f" (and {len(findings) - 5} more)" if len(findings) > 5 else ""
        raise UserError(f"{folder} is not what its inputs give: {'; '.join(findings[:5])}{more}")


def _moved(folder: Path, spec: Spec, inputs: Mapping[str, Path]) -> Iterator[str]:
    """Inputs that are not those the merge was made from."""
    recorded = manifest.read(folder)["inputs"]
    for role, path in lineage.roles_of(spec, inputs).items():
        if role in recorded and recorded[role]["sha256"] != manifest.folder_hash(path):
            yield f"the {role} model at {path} is not the one that was merged (its hash differs)"


def different(folder: Path, tensors: Mapping[str, Tensor], spec: Spec, inputs: Mapping[str, Path]) -> Iterator[str]:
    """A sentence for every tensor that is not finite or not what the inputs give."""
    formula = formula_of(spec)
    with Files() as files:
        if formula is None:
            with _again(folder, spec) as again:
                expected = tensors_of(again)
                for name, tensor in tensors.items():
                    yield from _compare(tensor, files, lambda begin, end, t=expected[name]: files.values(t, begin, end))
            return
        layers = config_of(inputs[spec.config["base_model"]]).get("num_hidden_layers", 0)
        read = {reference: tensors_of(inputs[reference]) for reference in formula.references}
        for name, tensor in tensors.items():
            yield from _compare(tensor, files, _expected(formula, name, read, layers, files, str(folder / SPEC)))


def _expected(
    formula: Formula, name: str, read: Mapping[str, Mapping[str, Tensor]], layers: int, files: Files, where: str
):
    """A function of begin and end: what that stretch of a tensor should be."""
    for reference, found in read.items():
        if name not in found:
            raise UserError(f"{reference} has no tensor {name}, which the merged model has")
    terms = terms_of(formula, name, layers, where)
    own = {reference: found[name] for reference, found in read.items()}
    return lambda begin, end: merged(formula, terms, own, files, begin, end)


def _compare(tensor: Tensor, files: Files, expected) -> Iterator[str]:
    wrong, infinite, largest = 0, 0, 0.0
    if tensor.dtype not in TORCH:
        return
    for begin, end in stretches(tensor):
        got, want = files.values(tensor, begin, end), expected(begin, end)
        if got.dtype != want.dtype:
            yield f"{tensor.name} is stored as {tensor.dtype}, and the spec says {str(want.dtype).removeprefix('torch.')}"
            return
        infinite += int((~torch.isfinite(got)).sum())
        # Bits, not values: -0 is not 0 here, and a NaN equals itself.
        bits = torch.int16 if got.element_size() == 2 else torch.int32
        if not torch.equal(got.view(bits), want.view(bits)):
            wrong += int((got.view(bits) != want.view(bits)).sum())
            largest = max(largest, float((got.float() - want.float()).abs().nan_to_num().max()))
    if infinite:
        yield f"{tensor.name} holds {infinite} values that are not finite"
    if wrong:
        yield f"{tensor.name} differs in {wrong} of {tensor.count} values, by at most {largest:.3g}"


@contextlib.contextmanager
def _again(folder: Path, spec: Spec) -> Iterator[Path]:
    """The same merge, run once more by mergekit, in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".again", dir=folder.parent) as scratch:
        run_mergekit(spec, Path(scratch) / "model")
        yield Path(scratch) / "model"


def run_mergekit(spec: Spec, out: Path) -> None:
    """Run mergekit itself on a spec, in a process of its own: its caches of folders last as long as the process.

    Raises:
        UserError: with mergekit's last line if it fails.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = out / SPEC
    file.write_text(spec.text, encoding="utf-8")
    command = [sys.executable, "-m", "mergekit.scripts.run_yaml", str(file), str(out), "--quiet"]
    # Its card asks the Hub about every short path, and the merge fails where there is no Hub.
    command.append("--no-write-model-card")
    if spec.seed is not None:
        command += ["--random-seed", str(spec.seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONHASHSEED": "0"})
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise UserError(f"mergekit could not merge: {said[-1].strip()}")
