"""A grid of merges over λ and checkpoints: one pass over the inputs, one folder a merge, finished ones kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub import content_hash, manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.engine.mergekit_backend import SPEC_FILE
from agentmerge_hub.merging.inputs.adapter import is_adapter
from agentmerge_hub.merging.inputs.checkpoint import weight_files
from agentmerge_hub.merging.inputs.merge_inputs import folders_of
from agentmerge_hub.merging.merge import merge
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.outputs import provenance
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.bound_values import finite_number
from agentmerge_hub.merging.specs.spec import Spec

MADE, KEPT = "made", "kept"


@dataclass(frozen=True)
class GridPoint:
    """One merge of the grid."""

    job: MergeJob
    checkpoint: str | None
    lambda_: float | None


@dataclass(frozen=True)
class SweepResult:
    """What became of one merge of the grid."""

    out: Path
    checkpoint: str | None
    lambda_: float | None
    state: str
    """`MADE`, `KEPT` (an earlier run finished it), or why it failed."""
    reply: str | None = None


def lambdas_of(text: str) -> list[float]:
    """``0.1:0.9:0.1`` (first, last, step) or ``0.3,0.5`` as numbers.

    Raises:
        UserError: if it is neither, or names no finite number.
    """
    mistake = UserError(f"--lambda {text}: it takes FIRST:LAST:STEP, e.g. 0.1:0.9:0.1, or numbers, e.g. 0.3,0.5")
    try:
        parts = [finite_number(part, "lambda") for part in text.replace(",", ":").split(":")]
    except UserError:
        raise mistake from None
    if ":" not in text:
        return list(dict.fromkeys(parts))
    if len(parts) != 3 or "," in text or parts[2] <= 0 or parts[1] < parts[0] or (parts[1] - parts[0]) / parts[2] > 1e4:
        raise mistake
    first, last, step = parts
    count = int((last - first) / step + 1e-9) + 1
    return [float(f"{first + index * step:.12g}") for index in range(count)]


def checkpoints_of(given: Sequence[str]) -> list[str]:
    """Folders and patterns as folders, by the number at their end (checkpoint-640 before checkpoint-5120).

    Raises:
        UserError: if one of them matches no folder.
    """
    found: list[str] = []
    for pattern in given:
        path = Path(pattern)
        matches = [pattern] if path.is_dir() else []
        if not matches:
            pattern_matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
            matches = [str(match) for match in pattern_matches if match.is_dir()]
        if not matches:
            raise UserError(f"--checkpoints {pattern}: no such folder")
        found += matches
    return sorted(dict.fromkeys(found), key=lambda path: (_step(path), path))


def _step(path: str) -> int:
    digits = Path(path).name.rpartition("-")[2]
    return int(digits) if digits.isdigit() else -1


def grid(spec: Spec, where: str, out: Path, lambdas: Sequence[float], checkpoints: Sequence[str]) -> list[GridPoint]:
    """Every point of the grid: its merge, its checkpoint, its λ."""
    points: list[GridPoint] = []
    checkpoint_axis: list[str | None] = [*checkpoints] or [None]
    lambda_axis: list[float | None] = [*lambdas] or [None]
    for checkpoint in checkpoint_axis:
        for value in lambda_axis:
            values = {"agent": _local(checkpoint)} if checkpoint else {}
            values |= {"lambda": f"{value:.12g}"} if value is not None else {}
            parts = [Path(checkpoint).name] if checkpoint else []
            parts += [f"lambda-{value:g}"] if value is not None else []
            job = MergeJob(specs.with_values(spec, values, where), out / "-".join(parts), where)
            points.append(GridPoint(job, checkpoint, value))
    names = [point.job.out for point in points]
    if len(set(names)) < len(names):
        raise UserError(
            f"several merges would have the same folder ({', '.join(checkpoints)}; {', '.join(map(str, lambdas))}): "
            "sweep one run at a time, and λ with at most six digits"
        )
    return points


def _local(path: str) -> str:
    """A folder as mergekit takes it for one: it looks for a/b on the Hub."""
    return path if path.startswith(("/", "./", "../", "~")) else f"./{path}"


def sweep(
    spec: Spec,
    where: str,
    out: Path,
    lambdas: Sequence[float],
    checkpoints: Sequence[str],
    settings: MergeSettings | None = None,
) -> list[SweepResult]:
    """Run the merges of a grid that are not finished yet; one that fails does not stop the others.

    Args:
        spec: the merge; its comments must name ``lambda`` and, for checkpoints, ``agent``.
        out: the folder of the merges' folders.

    Raises:
        UserError: if the grid itself is wrong, or the operating system refuses to write.
    """
    points = grid(spec, where, out, lambdas, checkpoints)
    states = {point.job.out: _unfinished(point.checkpoint) for point in points}
    adapter_base = settings.adapter_base if settings else None
    hashes: dict[Path, str] = {}
    missing = []
    for point in points:
        if states[point.job.out] is None:
            if _is_current(point.job, adapter_base, hashes):
                states[point.job.out] = KEPT
            else:
                missing.append(point.job)
    results = {result.out: result for result in (merge(missing, settings) if missing else [])}
    found = []
    for point in points:
        result = results.get(point.job.out)
        state = (result.problem or MADE) if result else states[point.job.out]
        reply = result.reply if result else None
        found.append(SweepResult(point.job.out, point.checkpoint, point.lambda_, str(state), reply))
    return found


def _unfinished(checkpoint: str | None) -> str | None:
    """Why a checkpoint is skipped: a training run is still writing it, or was killed while it did."""
    if checkpoint is None or is_adapter(Path(checkpoint)):
        return None
    try:
        if not (Path(checkpoint) / "config.json").is_file():
            raise UserError(f"{checkpoint} has no config.json: it is not a (finished) model folder")
        weight_files(Path(checkpoint))
    except UserError as error:
        return f"skipped: {error}"
    return None


def _is_current(job: MergeJob, adapter_base: str | None, hashes: dict[Path, str]) -> bool:
    """Whether this very merge is finished and whole: the same spec, of models whose files have not changed since."""
    if not (job.out / manifest.NAME).is_file() or not (job.out / SPEC_FILE).is_file():
        return False
    try:
        content = manifest.read(job.out)
        if (job.out / SPEC_FILE).read_text(encoding="utf-8") != job.spec.text:
            return False
        found = content_hash.file_hashes(job.out)
        outputs = {name: entry["sha256"] for name, entry in content["outputs"].items()}
        if found != {name: sha for name, sha in outputs.items() if content_hash.is_model_file(name)}:
            return False
        for role, reference in provenance.roles_of(job.spec).items():
            folder, base = folders_of(reference, adapter_base)
            read = {role: folder} if base == folder else {role: folder, f"{role}_base": base}
            for name, path in read.items():
                if path not in hashes:
                    hashes[path] = content_hash.folder_hash(path)
                if content["inputs"].get(name, {}).get("sha256") != hashes[path]:
                    return False
    except (UserError, OSError):
        return False  # merged again, which reports what is wrong
    return True
