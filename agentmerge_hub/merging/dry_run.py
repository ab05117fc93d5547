"""What a merge would read, write and take, from headers alone. Nothing is written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder
from agentmerge_hub.files.scratch import scratch_folder
from agentmerge_hub.merging.engine import backends
from agentmerge_hub.merging.inputs import model_configs
from agentmerge_hub.merging.inputs.merge_inputs import open_inputs
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.outputs import provenance
from agentmerge_hub.merging.outputs.replaced_merge import replaced
from agentmerge_hub.merging.preparation import check_filters, located_folders, written_bytes
from agentmerge_hub.merging.specs import mergekit_schema
from agentmerge_hub.sizes import size_text

MERGEKIT = "mergekit"

DISK_SPEED = 500.0
"""Megabytes per second: a default for disks of unknown speed."""

_PROCESS_BYTES = 400_000_000
"""Of Python with torch and the tokenizer."""

_MERGEKIT_TENSORS = 8
"""mergekit's peak in float32 copies of the largest tensor and model: a rough upper estimate."""


@dataclass(frozen=True)
class MergeEstimate:
    """The cost of one merge."""

    engine: str
    read: int
    """Bytes of weights."""
    written: int
    """Bytes of weights."""
    scratch: int
    """Bytes of models that PEFT first merges of adapters, in a temporary folder."""
    memory: int
    """Bytes."""
    seconds: float
    """Reading and writing at the given disk speed; computing runs beside it."""
    replaced: str | None
    """The finished merge that is there, in words."""

    def __str__(self) -> str:
        adapters = f" (and {size_text(self.scratch)} of adapters that PEFT merges, for a while)" if self.scratch else ""
        return (
            f"{self.engine}: reads {size_text(self.read)} and writes {size_text(self.written)} of weights{adapters}, takes about "
            f"{size_text(self.memory)} of memory and {_duration(self.seconds)} (the inputs are read twice where they do not fit "
            "into memory: for the merge, and for their hashes)"
        )


def estimate(job: MergeJob, settings: MergeSettings, megabytes_per_second: float) -> MergeEstimate:
    """The cost of one merge, after the checks that need no weights.

    Args:
        megabytes_per_second: what the disk reads and writes.

    Raises:
        UserError: if the spec, an input or the speed is wrong.
    """
    from agentmerge_hub.merging.engine import mergekit_backend, streaming  # import torch
    from agentmerge_hub.merging.inputs.tensor_reader import CHUNK_SIZE

    settings.check()
    spec = job.spec
    if not 0 < megabytes_per_second < math.inf:
        raise UserError(f"--disk-speed {megabytes_per_second}: it takes a number of megabytes per second above 0")
    mergekit_schema.validate(spec, job.where)
    output_folder.check_replaceable(job.out, provenance.STAGE)
    output_folder.check_not_input(job.out, located_folders(spec))
    inputs = open_inputs(spec, None, settings.adapter_base)
    model_configs.check_loadable(inputs.merged_configs)
    formula = backends.streaming_formula(spec, inputs)
    backends.check_computable(spec, formula, inputs)
    check_filters(spec, job.where, inputs)
    references = formula.references if formula else list(inputs.models)
    read = sum(tensor.size for reference in references for tensor in inputs.models[reference].tensors.values())
    adapted = [model for model in inputs.models.values() if model.is_adapter]
    merged = [model for model in adapted if formula is None or model.weights_folder != model.folder]
    sizes = [4 * sum(tensor.count for tensor in model.tensors.values()) for model in merged]
    written = written_bytes(spec, inputs)
    largest = 4 * max(prod(shape) for shape in inputs.shapes.values())
    if formula is None:
        with scratch_folder("plan") as scratch:
            mergekit_backend.check_plan(spec, inputs, scratch)
        memory = _PROCESS_BYTES + _MERGEKIT_TENSORS * largest * len(inputs.models)
    else:
        chunks = streaming.cpu_count() * 4 * CHUNK_SIZE * (3 * len(references) + 4)
        memory = _PROCESS_BYTES + chunks + (4 * largest if formula.method == "ties" else 0)
    memory = max([memory, *(_PROCESS_BYTES + 2 * size for size in sizes)])
    engine, adapters = MERGEKIT if formula is None else "one streaming pass", sum(sizes)
    seconds = (read + written + 2 * adapters) / (megabytes_per_second * 1e6)
    return MergeEstimate(engine, read, written, adapters, memory, seconds, replaced(job.out, spec))


def most_on_disk(costs: Sequence[MergeEstimate], at_once: int | None, keep: Literal["all", "best"]) -> int:
    """Bytes of weights that a sweep's folder holds at most at a time.

    The merges of a streaming pass are written together, and scored at its end; those that mergekit runs one by one.

    Args:
        at_once, keep: as of `sweep`.
    """
    if keep == "all":
        return sum(cost.written for cost in costs)
    most = best = 0
    for begin in range(0, len(costs), at_once or len(costs)):
        batch = costs[begin : begin + (at_once or len(costs))]
        by_mergekit = [[cost.written] for cost in batch if cost.engine == MERGEKIT]
        for written in (*by_mergekit, [cost.written for cost in batch if cost.engine != MERGEKIT]):
            most = max(most, best + sum(written))
            best = max(best, *written, 0)
    return most


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.1f} seconds"
