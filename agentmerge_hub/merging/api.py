"""Merge and sweep from a spec file: what `agentmerge merge` and `agentmerge sweep` call, and what a notebook imports."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from agentmerge_hub.merging import sweep as sweeps
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeResult, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.spec import Spec
from agentmerge_hub.merging.sweep import SweepResult


def read_spec(path: Path, values: Mapping[str, str] | None = None) -> Spec:
    """A mergekit YAML file with its named values replaced; a random method without a seed gets one.

    Args:
        path: the file.
        values: name → value, for names that the file's comments give, e.g. ``{"lambda": "0.4"}``.

    Raises:
        UserError: if it is not a spec, or has no such name.
    """
    return specs.with_seed(specs.with_values(specs.read(path), dict(values or {}), str(path)), str(path))


def merge(
    spec: Path, out: Path, values: Mapping[str, str] | None = None, settings: MergeSettings | None = None
) -> MergeResult:
    """Merge models as a spec says, checked before and after.

    Args:
        spec: mergekit YAML, e.g. ``recipes/merge/agentmerge.yml``.
        out: the merged model's folder.
        values: as in `read_spec`.
        settings: how the merge is run; none of it changes weights.

    Raises:
        UserError: if the inputs cannot be merged, or the result is not usable; nothing is kept then.
    """
    return merge_one(MergeJob(read_spec(Path(spec), values), Path(out), str(spec)), settings)


def sweep(
    spec: Path,
    out: Path,
    lambdas: Sequence[float] = (),
    checkpoints: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
    settings: MergeSettings | None = None,
) -> list[SweepResult]:
    """Merge over a grid of λ and checkpoints, reading each model once; finished merges are kept.

    Args:
        spec: as for `merge`; its comments name ``lambda`` and, for checkpoints, ``agent``.
        out: the folder of the merges' folders.
        lambdas: values of λ.
        checkpoints: folders that take the agent's place.
        values: as in `read_spec`.
        settings: as for `merge`.

    Returns:
        one result for each point of the grid, also for those that failed.

    Raises:
        UserError: if the grid itself is wrong.
    """
    return sweeps.sweep(read_spec(Path(spec), values), str(spec), Path(out), list(lambdas), list(checkpoints), settings)
