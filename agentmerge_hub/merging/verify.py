"""Proves a merged model from its inputs: recomputes every tensor and compares to the bit, and every other file by content.

A folder that plain mergekit-yaml wrote holds the spec it ran (mergekit_config.yml); verified once, it gets the manifest
that records what it was made of. A folder with a manifest is also compared with that, claim by claim. What is compared with
nothing is listed.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files.atomic_write import temporary_name
from agentmerge_hub.files.scratch import scratch_folder
from agentmerge_hub.merging.engine import backends, mergekit_backend
from agentmerge_hub.merging.engine.tensor_comparison import compare_with_files, compare_with_formula
from agentmerge_hub.merging.inputs.checkpoint import tensors_of
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs, open_inputs
from agentmerge_hub.merging.merge_job import SHARD_BYTES
from agentmerge_hub.merging.outputs import file_comparison, manifest_comparison, model_checks, model_files, provenance
from agentmerge_hub.merging.outputs.manifest_comparison import ManifestReport
from agentmerge_hub.merging.specs import mergekit_schema
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.spec import Spec

CARD = "README.md"
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Verdict:
    """A merged model that passed."""

    tensors: int
    parameters: int
    reply: str | None
    first: bool
    """It had no manifest before."""
    unchecked: tuple[str, ...] = ()
    """Files, and claims of the manifest, that were compared with nothing."""


def verify(
    folder: str | Path,
    values: Mapping[str, str] | None = None,
    *,
    reply: bool = True,
    began: float | None = None,
    adapter_base: str | None = None,
) -> Verdict:
    """Check a merged model, its numbers and its files; the first time, write its manifest.

    Args:
        folder: a merged model with its mergekit_config.yml.
        values: bound names to replace, e.g. ``{"agent": "/elsewhere/base-all"}`` where an input has moved.
        reply: also load the model and let it answer.
        began: when the merge was started, in seconds as time.time() gives them; the manifest counts from there.
        adapter_base: the model that adapters were trained on, where it has moved.

    Raises:
        UserError: if anything is wrong: every finding in one sentence each.
    """
    folder = Path(folder)
    _stop_at(folder, file_comparison.special_files(folder))
    written, spec = _specs_of(folder, values or {})
    with os_errors_as_sentences(folder), scratch_folder("adapters") as scratch:
        inputs = open_inputs(spec, scratch, adapter_base)
        first, claims = not (folder / manifest.NAME).is_file(), ManifestReport()
        if not first:
            _check_unchanged(folder)
            claims = manifest_comparison.compare(folder, written, spec, inputs)
            _stop_at(folder, claims.wrong)
        added = model_files.complete(inputs, folder) if first else []
        try:
            _check(folder, spec, inputs, scratch)
            answer = model_checks.reply(folder) if reply else None
        except BaseException:
            for name in added:
                (folder / name).unlink()
            raise
        unchecked = [*file_comparison.unchecked_files(folder, inputs), *provenance.unchecked_texts(spec)]
        counts = provenance.counts_of(folder)
        if first:
            names = provenance.input_names(written, spec, inputs)
            provenance.write_manifest(
                folder, spec, inputs, counts={**counts, "reply": answer}, started=began, names=names if values else None
            )
        else:
            of_manifest = [*claims.unchecked, *manifest_comparison.compare_reply(folder, answer)]
            unchecked += [f"{manifest.NAME}: {claim}" for claim in of_manifest]
    return Verdict(counts["tensors"], counts["parameters"], answer, first, tuple(unchecked))


def _specs_of(folder: Path, values: Mapping[str, str]) -> tuple[Spec, Spec]:
    """The spec of a folder as it is, and with values replaced."""
    file = folder / specs.SPEC_FILE
    if not file.is_file():
        raise UserError(f"{folder} has no {file.name}: it was not made by mergekit-yaml or `agentmerge merge`")
    written = specs.read(file)
    spec = specs.with_values(written, values, str(file)) if values else written
    if spec.is_random and spec.seed is None:
        raise UserError(
            f"{file}: {spec.config['merge_method']} is random, and the spec names no seed: add the line `# seed: N` with the "
            "number that mergekit-yaml got as --random-seed"
        )
    return written, spec


def _check(folder: Path, spec: Spec, inputs: MergeInputs, scratch: Path) -> None:
    """Compare files and tensors with what the inputs give.

    Raises:
        UserError: naming what differs.
    """
    tensors = tensors_of(folder)
    by_mergekit = {name: tensor.shape for name, tensor in tensors.items()} != dict(inputs.shapes)
    wrong = model_checks.weight_findings(folder, inputs, by_mergekit=by_mergekit)
    _stop_at(folder, wrong or model_checks.tokenizer_findings(folder, inputs))
    formula = backends.streaming_formula(spec, inputs)
    if formula is not None and not by_mergekit:
        backends.check_computable(spec, formula, inputs)
        _stop_at(folder, file_comparison.findings(folder, inputs, scratch, streamed=True, again=None))
        where = str(folder / specs.SPEC_FILE)
        _stop_at(folder, list(compare_with_formula(tensors, formula, inputs, where)))
        return
    with _merged_again(folder, spec, inputs) as again:
        streamed = formula is not None
        _stop_at(folder, file_comparison.findings(folder, inputs, scratch, streamed=streamed, again=again))
        _stop_at(folder, list(compare_with_files(tensors, tensors_of(again))))


def _check_unchanged(folder: Path) -> None:
    """Compare with the manifest's hashes. The card may be finished and notes be added; `file_comparison` judges other new files."""
    changed = manifest.verify(folder, only=manifest.read(folder)["outputs"].keys() - {CARD})
    if changed:
        raise UserError(
            f"{folder} is not what its manifest says: {'; '.join(changed[:_MOST_SHOWN])} (if mergekit-yaml wrote there again, "
            f"delete {folder / manifest.NAME} and verify anew)"
        )


def _stop_at(folder: Path, findings: list[str]) -> None:
    if findings:
        more = f" (and {len(findings) - _MOST_SHOWN} more)" if len(findings) > _MOST_SHOWN else ""
        raise UserError(f"{folder} is not what its inputs give: {'; '.join(findings[:_MOST_SHOWN])}{more}")


@contextlib.contextmanager
def _merged_again(folder: Path, spec: Spec, inputs: MergeInputs) -> Iterator[Path]:
    """The same merge with all its files, run once more by mergekit, in a folder that is removed."""
    mergekit_schema.validate(spec, str(folder / specs.SPEC_FILE))
    scratch = temporary_name(folder.resolve(), "partial")
    scratch.mkdir()
    try:
        mergekit_backend.run(spec, scratch, inputs, shard_bytes=SHARD_BYTES)
        model_files.drop_auto_map(scratch)
        model_files.complete(inputs, scratch)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
