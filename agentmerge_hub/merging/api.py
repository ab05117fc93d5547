"""Merge and sweep from a spec file: what `agentmerge merge` and `agentmerge sweep` call, and what a notebook imports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import dry_run
from agentmerge_hub.merging import sweep as sweeps
from agentmerge_hub.merging.dry_run import DISK_SPEED, MergeEstimate
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeResult, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.spec import Spec
from agentmerge_hub.merging.sweep import GridPoint, SweepResult
from agentmerge_hub.merging.sweep_scores import Scoring


def read_spec(path: str | Path, values: Mapping[str, str] | None = None) -> Spec:
    """A mergekit YAML file with its named values replaced; a random method without a seed gets one.

    Args:
        path: the file.
        values: name → value, for names that the file's comments give, e.g. ``{"lambda": "0.4"}``.

    Raises:
        UserError: if it is not a spec, or has no such name.
    """
    return specs.with_seed(specs.with_values(specs.read(Path(path)), dict(values or {}), str(path)), str(path))


def merge(
    spec: str | Path, out: str | Path, values: Mapping[str, str] | None = None, settings: MergeSettings | None = None
) -> MergeResult:
    """Merge models as a spec says, checked before and after.

    Args:
        spec: mergekit YAML, e.g. ``recipes/merge/agentmerge.yml``.
        out: the merged model's folder.
        values: name → value for names in the spec's comments, e.g. ``{"lambda": "0.4", "agent": "runs/mine"}``.
        settings: how the merge is run; none of it changes weights.

    Raises:
        UserError: if the inputs cannot be merged, or the result is not usable; nothing is kept then.
    """
    return merge_one(_job(spec, out, values), settings)


def estimate_merge(
    spec: str | Path,
    out: str | Path,
    values: Mapping[str, str] | None = None,
    settings: MergeSettings | None = None,
    disk_speed: float = DISK_SPEED,
) -> MergeEstimate:
    """What `merge` with these arguments would read, write and take; nothing is written.

    Args:
        disk_speed: megabytes per second that the disk reads and writes.

    Raises:
        UserError: if the merge would be refused before it reads weights, or the speed is wrong.
    """
    return dry_run.estimate(_job(spec, out, values), settings or MergeSettings(), disk_speed)


def sweep(
    spec: str | Path,
    out: str | Path,
    lambdas: Sequence[float] = (),
    checkpoints: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
    settings: MergeSettings | None = None,
    *,
    at_once: int | None = None,
    evaluate: str | None = None,
    keep: Literal["all", "best"] = "all",
) -> list[SweepResult]:
    """Merge over a grid of λ and checkpoints, reading each model once; finished merges are kept.

    Args:
        spec: as for `merge`; its comments name ``lambda`` and, for checkpoints, ``agent``.
        out: the folder of the merges' folders.
        lambdas: values of λ.
        checkpoints: folders, or patterns of folders, that replace the agent.
        values: name → value for names in the spec's comments, e.g. ``{"lambda": "0.4", "agent": "runs/mine"}``.
        settings: as for `merge`.
        at_once: merges of one pass over the inputs; they appear, and are scored, before the next pass. Default: all that the
            disk can take; the others follow where scoring deletes some.
        evaluate: a command that scores a finished merge: its folder is the last argument, the last line that it prints is
            the score, higher is better. A merge that the same command scored is not scored again.
        keep: ``best`` deletes every scored merge but the best.

    Returns:
        one result for each point of the grid, also for those that failed.

    Raises:
        UserError: if the grid itself is wrong.
    """
    if keep == "best" and evaluate is None:
        raise UserError(
            "to keep the best merge alone needs a score of each: give a command that evaluates (--evaluate)"
        )
    scoring = None if evaluate is None else Scoring(evaluate, keep)
    points = _grid(spec, out, lambdas, checkpoints, values)
    return sweeps.sweep(points, Path(out), settings, at_once=at_once, scoring=scoring)


def estimate_sweep(
    spec: str | Path,
    out: str | Path,
    lambdas: Sequence[float] = (),
    checkpoints: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
    settings: MergeSettings | None = None,
    disk_speed: float = DISK_SPEED,
) -> dict[Path, MergeEstimate | UserError]:
    """What each merge of a grid would read, write and take; nothing is written.

    Returns:
        Folder of each merge → its cost alone, or why it would fail. A pass reads each model once for all its merges.

    Raises:
        UserError: if the grid itself is wrong.
    """
    found: dict[Path, MergeEstimate | UserError] = {}
    for point in _grid(spec, out, lambdas, checkpoints, values):
        try:
            found[point.job.out] = dry_run.estimate(point.job, settings or MergeSettings(), disk_speed)
        except UserError as error:
            found[point.job.out] = error
    return found


def _job(spec: str | Path, out: str | Path, values: Mapping[str, str] | None) -> MergeJob:
    return MergeJob(read_spec(spec, values), Path(out), str(spec))


def _grid(
    spec: str | Path,
    out: str | Path,
    lambdas: Sequence[float],
    checkpoints: Sequence[str],
    values: Mapping[str, str] | None,
) -> list[GridPoint]:
    if not lambdas and not checkpoints:
        raise UserError("nothing to sweep over: give values of lambda (--lambda), checkpoints (--checkpoints), or both")
    folders = sweeps.checkpoints_of(checkpoints)
    return sweeps.grid(read_spec(spec, values), str(spec), Path(out), list(lambdas), folders)
