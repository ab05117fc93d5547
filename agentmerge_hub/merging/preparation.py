"""Everything that is checked before a merge writes its first byte: spec, output, inputs, disk space."""

import shutil
from collections.abc import Sequence
from math import prod
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder
from agentmerge_hub.merging.engine import backends
from agentmerge_hub.merging.inputs.checkpoint import TOKENIZER_FILES, locate
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs, open_inputs, split_reference
from agentmerge_hub.merging.inputs.safetensors_header import DTYPE_BYTES
from agentmerge_hub.merging.inputs.tied_heads import check_heads
from agentmerge_hub.merging.merge_job import MergeRun, MergeSettings
from agentmerge_hub.merging.outputs import provenance
from agentmerge_hub.merging.outputs.replaced_merge import replaced
from agentmerge_hub.merging.specs import mergekit_schema
from agentmerge_hub.merging.specs.formula import OUT_DTYPES, filters_of, formula_of
from agentmerge_hub.merging.specs.spec import Spec, donor_of, layer_ranges, references_of
from agentmerge_hub.sizes import size_text


def open_runs(runs: Sequence[MergeRun], settings: MergeSettings, scratch: Path) -> None:
    """Check every spec and output, and open the inputs; merges of the same models share them."""
    opened: dict[tuple[object, ...], MergeInputs] = {}
    for run in runs:
        spec, where = run.job.spec, run.job.where
        try:
            output_folder.check_replaceable(run.job.out, provenance.STAGE)
            run.replaced = replaced(run.job.out, spec)
            if not settings.quick or formula_of(spec) is None:
                mergekit_schema.validate(spec, where)
            if spec.is_random and spec.seed is None:
                raise UserError(f"{where}: {spec.config['merge_method']} is random and names no seed: add `# seed: 42`")
            output_folder.check_not_input(run.job.out, located_folders(spec))
            key = (*references_of(spec), donor_of(spec), spec.config.get("base_model"), str(spec.config.get("tokenizer")),
                   str(spec.config.get("tokenizer_source")))  # fmt: skip
            if key not in opened:
                opened[key] = open_inputs(spec, scratch, settings.adapter_base)
            else:  # this spec can have other values than the one they were opened for
                check_heads(spec, opened[key].models, opened[key].architecture)
            run.inputs = opened[key]
            output_folder.check_not_input(run.job.out, run.inputs.read_folders)
            run.formula = backends.streaming_formula(spec, run.inputs)
            if run.formula is None:
                mergekit_schema.validate(spec, where)
            backends.check_computable(spec, run.formula, run.inputs)
            check_filters(spec, where, run.inputs)
        except UserError as error:
            run.fail(str(error))


def check_filters(spec: Spec, where: str, inputs: MergeInputs) -> None:
    """Raise UserError if a filter fits no tensor, e.g. `embed_tokens` where the embeddings are `wte`: its value would be ignored.
    Where mergekit has other names than the files, they are not compared."""
    architecture = inputs.architecture
    if not architecture.same_names or architecture.separate_experts:
        return
    names = [*inputs.shapes, "lm_head.weight"]  # a head that is tied to the embeddings is not stored
    for found in filters_of(spec.config):
        if found != "*" and not any(found in name for name in names):
            raise UserError(
                f"{where}: the filter {found!r} fits no tensor of {architecture.name}: it is a part of names such as "
                f"{architecture.embeddings or names[0]} and {names[len(names) // 2]}"
            )


def located_folders(spec: Spec) -> list[Path]:
    """The folders that a spec names and that are there; Hub ids are not looked up."""
    parts = [part for reference in references_of(spec) for part in split_reference(reference) if part]
    return [locate(part) for part in parts if Path(part).is_dir()]


def written_bytes(spec: Spec, inputs: MergeInputs) -> int:
    """Bytes of a merge's weights."""
    name = spec.config.get("out_dtype") or spec.config.get("dtype") or "float32"
    values = sum(_written_values(spec, inputs, tensor, shape) for tensor, shape in inputs.shapes.items())
    return values * DTYPE_BYTES[OUT_DTYPES.get(name, "F64")]


def _written_values(spec: Spec, inputs: MergeInputs, tensor: str, shape: tuple[int, ...]) -> int:
    """Values of a tensor in the merge: mergekit may build its rows, and slices may take its layer several times or not."""
    architecture = inputs.architecture
    if tensor in architecture.vocabulary and inputs.rows.built is not None:
        shape = (inputs.rows.built, *shape[1:])
    ranges = [one for module in architecture.layer_keys for one in layer_ranges(spec, module)]
    layer = architecture.layer(tensor)
    if not ranges or layer is None or len(architecture.layer_keys) > 1:
        return prod(shape)
    return prod(shape) * sum(begin <= layer < end for begin, end in ranges)


def check_disk_space(runs: Sequence[MergeRun]) -> None:
    """Fail every merge that the disk cannot take, in their order."""
    free: dict[int, int] = {}
    for run in runs:
        out = run.job.out.absolute()
        place = next(path for path in (out, *out.parents) if path.exists())
        device = place.stat().st_dev
        copied = (run.opened.donor / name for name in TOKENIZER_FILES)
        needed = written_bytes(run.job.spec, run.opened) + sum(path.stat().st_size for path in copied if path.is_file())
        left = free.setdefault(device, shutil.disk_usage(place).free)
        if left < needed:
            run.lacks_space = True
            run.fail(f"{place} has {size_text(left)} free, and the merge takes {size_text(needed)}: free some space")
        else:
            free[device] = left - needed
