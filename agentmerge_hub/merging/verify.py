"""Proves a merged model from its inputs: recomputes every tensor and compares to the bit, and every other file by content.

A folder that plain mergekit-yaml wrote holds the spec it ran (mergekit_config.yml); verified once, it gets the manifest
that records what it was made of. A folder with a manifest is also compared with that, claim by claim.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.atomic_write import temporary_name
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.merging.engine import backends, mergekit_backend
from agentmerge_hub.merging.engine.tensor_comparison import compare_with_files, compare_with_formula
from agentmerge_hub.merging.inputs.checkpoint import tensors_of
from agentmerge_hub.merging.inputs.input_hashes import input_hash
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs, open_inputs
from agentmerge_hub.merging.merge_job import SHARD_BYTES
from agentmerge_hub.merging.outputs import file_comparison, model_checks, model_files, provenance
from agentmerge_hub.merging.specs import mergekit_schema
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.spec import Spec
from agentmerge_hub.scratch import scratch_folder

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


def verify(
    folder: Path,
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
    spec = _spec_of(folder, values or {})
    with os_errors_as_sentences(folder), scratch_folder("adapters") as scratch:
        inputs = open_inputs(spec, scratch, adapter_base)
        first = not (folder / manifest.NAME).is_file()
        if not first:
            _check_unchanged(folder)
            _stop_at(folder, [*_changed_inputs(folder, spec, inputs), *_false_claims(folder, spec, inputs)])
        added = model_files.complete(inputs, folder) if first else []
        try:
            tensors = tensors_of(folder)
            by_mergekit = {name: tensor.shape for name, tensor in tensors.items()} != dict(inputs.shapes)
            _stop_at(folder, model_checks.findings(folder, inputs, by_mergekit=by_mergekit))
            _stop_at(folder, file_comparison.findings(folder, inputs))
            _stop_at(folder, list(_different_tensors(folder, spec, inputs, same_tensors=not by_mergekit)))
            answer = model_checks.reply(folder) if reply else None
        except BaseException:
            for name in added:
                (folder / name).unlink()
            raise
        counts = provenance.counts_of(folder)
        if first:
            provenance.write_manifest(folder, spec, inputs, counts={**counts, "reply": answer}, started=began)
    return Verdict(counts["tensors"], counts["parameters"], answer, first)


def _spec_of(folder: Path, values: Mapping[str, str]) -> Spec:
    file = folder / specs.SPEC_FILE
    if not file.is_file():
        raise UserError(f"{folder} has no {file.name}: it was not made by mergekit-yaml or `agentmerge merge`")
    spec = specs.read(file)
    if values:
        spec = specs.with_values(spec, values, str(file))
    if spec.is_random and spec.seed is None:
        raise UserError(
            f"{file}: {spec.config['merge_method']} is random, and the spec names no seed: add the line `# seed: N` with the "
            "number that mergekit-yaml got as --random-seed"
        )
    return spec


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


def _changed_inputs(folder: Path, spec: Spec, inputs: MergeInputs) -> Iterator[str]:
    """Inputs that are not those the merge was made from."""
    recorded = manifest.read(folder)["inputs"]
    folders = provenance.input_folders(spec, inputs)
    for role, path in folders.items():
        if role not in recorded:
            yield f"its manifest does not name the {role} model"
        elif recorded[role]["sha256"] != input_hash(path):
            yield f"the {role} model at {path} is not the one that was merged"
    for role in sorted(recorded.keys() - folders.keys()):
        yield f"its manifest names the input {role}, which {specs.SPEC_FILE} does not"


def _false_claims(folder: Path, spec: Spec, inputs: MergeInputs) -> Iterator[str]:
    """What the manifest says, and the spec, the weights or the inputs' own manifests do not."""
    content = manifest.read(folder)
    for key, value in provenance.settings_of(spec).items():
        if content["config"].get(key) != value:
            yield f"its manifest says {key} = {content['config'].get(key)}, and {specs.SPEC_FILE} {value}"
    for key, value in provenance.training_of(spec, inputs).items():
        if content["config"].get(key, value) != value:
            yield f"its manifest says {key} = {content['config'][key]}, and the manifest of what was merged {value}"
    for key, count in provenance.counts_of(folder).items():
        if content["counts"].get(key, count) != count:
            yield f"its manifest says {content['counts'][key]} {key}, and its weights have {count}"


def _different_tensors(folder: Path, spec: Spec, inputs: MergeInputs, *, same_tensors: bool) -> Iterator[str]:
    """A sentence for every tensor that is not finite or not what the inputs give."""
    where = str(folder / specs.SPEC_FILE)
    tensors = tensors_of(folder)
    formula = backends.streaming_formula(spec, inputs)
    if formula is not None and same_tensors:
        backends.check_computable(spec, formula, inputs)
        yield from compare_with_formula(tensors, formula, inputs, where)
    else:
        mergekit_schema.validate(spec, where)
        with _merged_again(folder, spec, inputs) as again:
            yield from compare_with_files(tensors, tensors_of(again))


@contextlib.contextmanager
def _merged_again(folder: Path, spec: Spec, inputs: MergeInputs) -> Iterator[Path]:
    """The same merge, run once more by mergekit, in a folder that is removed."""
    scratch = temporary_name(folder.resolve(), "partial")
    scratch.mkdir()
    try:
        mergekit_backend.run(spec, scratch, inputs, shard_bytes=SHARD_BYTES)
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
