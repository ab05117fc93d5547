"""A grid of merges over λ and checkpoints: one pass over the inputs, one folder a merge, finished ones kept."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash, output_folder
from agentmerge_hub.merging.inputs.adapter import is_adapter
from agentmerge_hub.merging.inputs.checkpoint import weight_files
from agentmerge_hub.merging.inputs.input_hashes import input_hash
from agentmerge_hub.merging.inputs.merge_inputs import folders_of
from agentmerge_hub.merging.merge import merge
from agentmerge_hub.merging.merge_job import MergeJob, MergeResult, MergeSettings
from agentmerge_hub.merging.outputs import provenance
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.bound_values import finite_number
from agentmerge_hub.merging.specs.spec import SPEC_FILE, Spec
from agentmerge_hub.merging.sweep_scores import Scores, Scoring, evaluate

MADE, KEPT, DELETED = "made", "kept", "scored earlier"


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
    """`MADE`, `KEPT` (an earlier run finished it), `DELETED` (scored, and not the best), or why it failed."""
    reply: str | None = None
    score: float | None = None
    replaced: str | None = None
    """The merge that was there before, in words."""

    @property
    def failed(self) -> bool:
        """Whether there is neither a merge nor a score."""
        return self.state not in (MADE, KEPT, DELETED)


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
    if len(parts) != 3 or "," in text:
        raise mistake
    first, last, step = parts
    if last < first:
        raise UserError(f"--lambda {text}: the first λ is larger than the last: write {last:g}:{first:g}:{step:g}")
    if step <= 0:
        raise UserError(f"--lambda {text}: the step is {step:g}: give one above 0, e.g. 0.1")
    if (last - first) / step > 1e4:
        raise UserError(f"--lambda {text}: these are more than 10,000 values: give a larger step")
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
        matches = [Path(path.anchor)]
        for part in path.relative_to(path.anchor).parts:
            matches = [match for parent in matches for match in _matching(parent, part)]
        if not matches:
            raise UserError(f"--checkpoints {pattern}: no such folder")
        found += [pattern] if matches == [path] else map(str, matches)
    return sorted(dict.fromkeys(found), key=lambda path: (_step(path), path))


def _matching(parent: Path, part: str) -> list[Path]:
    """Folders that one part of a path names: the one of that very name, e.g. ``[1] first``, else those that it matches."""
    if (parent / part).is_dir():
        return [parent / part]
    try:
        return [path for path in parent.glob(part) if path.is_dir()]
    except ValueError:  # no pattern, e.g. `a**`
        return []


def _step(path: str) -> int:
    digits = Path(path).name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else -1


def grid(spec: Spec, where: str, out: Path, lambdas: Sequence[float], checkpoints: Sequence[str]) -> list[GridPoint]:
    """Every point of the grid: its merge, its checkpoint, its λ.

    Args:
        spec: the merge; its comments must name ``lambda`` and, for checkpoints, ``agent``.
        where: the spec's file, for messages.
        out: the folder of the merges' folders.

    Raises:
        UserError: if the spec has no such name, or two merges would have the same folder.
    """
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
    points: Sequence[GridPoint],
    out: Path,
    settings: MergeSettings | None = None,
    *,
    at_once: int | None = None,
    scoring: Scoring | None = None,
) -> list[SweepResult]:
    """Run the merges of a grid that are not finished yet; one that fails does not stop the others.

    Args:
        points: of `grid`.
        out: the folder of the merges' folders.
        at_once: merges of one pass over the inputs; they appear, and are scored, before the next pass. Those that mergekit
            runs appear, and are scored, one by one. Default: all that the disk can take.
        scoring: how finished merges are scored.

    Raises:
        UserError: if the operating system refuses to write.
    """
    scores = Scores(out, scoring.command) if scoring else None
    hashes = _InputHashes(settings.adapter_base if settings else None)
    found: dict[Path, SweepResult] = {}
    missing: list[GridPoint] = []
    for point in points:
        state = _unfinished(point.checkpoint)
        score = scores.of(point.job.out, hashes.identity(point.job)) if scores and state is None else None
        if state is None and _is_current(point.job, hashes):
            state = KEPT
        elif state is None and score is not None:
            state = DELETED
        if state is None:
            missing.append(point)
        else:
            output_folder.remove_leftovers(point.job.out)
            found[point.job.out] = SweepResult(point.job.out, point.checkpoint, point.lambda_, state, score=score)
    kept = [point for point in points if point.job.out in found and found[point.job.out].state == KEPT]
    _score(kept, found, scores, scoring, points, hashes)
    points_of = {point.job.out: point for point in points}

    def record(result: MergeResult) -> GridPoint:
        point, state = points_of[result.out], result.problem or MADE
        found[result.out] = SweepResult(
            result.out, point.checkpoint, point.lambda_, state, result.reply, replaced=result.replaced
        )
        return point

    def finished(result: MergeResult) -> None:
        _score([record(result)], found, scores, scoring, points, hashes)

    while missing:
        batch, missing = missing[: at_once or None], missing[at_once:] if at_once else []
        folders = [point.job.out for point in points if point.job.out.exists()]
        results = merge([point.job for point in batch], settings, finished)
        for result in results:
            if result.problem:
                record(result)
            else:
                folders.append(result.out)
        if not all(folder.exists() for folder in folders):  # there is space for more
            missing = [point for point, result in zip(batch, results) if result.lacks_space] + missing
    return [found[point.job.out] for point in points]


def _score(
    finished: Sequence[GridPoint],
    found: dict[Path, SweepResult],
    scores: Scores | None,
    scoring: Scoring | None,
    points: Sequence[GridPoint],
    hashes: "_InputHashes",
) -> None:
    """Score finished merges that have no score, and delete all but the best where that is asked."""
    if scores is None or scoring is None:
        return
    for point in finished:
        folder, identity = point.job.out, hashes.identity(point.job)
        score = scores.of(folder, identity)
        if score is None:
            try:
                score = evaluate(scoring, folder)
            except UserError as error:
                found[folder] = replace(found[folder], state=f"not scored: {error}")
                continue
            scores.add(folder, identity, score)
        found[folder] = replace(found[folder], score=score)
        if scoring.keep == "best":
            scores.keep_best([(other.job.out, hashes.identity(other.job)) for other in points])


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


class _InputHashes:
    """Hashes of the files that merges read, each folder hashed once."""

    def __init__(self, adapter_base: str | None) -> None:
        self._adapter_base = adapter_base
        self._known: dict[Path, str] = {}

    def of(self, job: MergeJob) -> dict[str, str]:
        """Role → hash of a merge's inputs, as its manifest records them.

        Raises:
            UserError: if an input is not here.
        """
        found = {}
        for role, reference in provenance.roles_of(job.spec).items():
            folder, base = folders_of(reference, self._adapter_base)
            for name, path in ((role, folder), (f"{role}_base", base)):
                if name == role or base != folder:
                    if path not in self._known:
                        self._known[path] = input_hash(path)
                    found[name] = self._known[path]
        return found

    def identity(self, job: MergeJob) -> str:
        """One hash of a merge's spec and inputs; empty if an input is not here."""
        try:
            return content_hash.combined_hash(self.of(job) | {SPEC_FILE: job.spec.text})
        except UserError:
            return ""


def _is_current(job: MergeJob, hashes: _InputHashes) -> bool:
    """Whether this very merge is finished and whole: the same spec, of models whose files have not changed since."""
    if not (job.out / manifest.NAME).is_file() or not (job.out / SPEC_FILE).is_file():
        return False
    try:
        content = manifest.read(job.out)
        if (job.out / SPEC_FILE).read_text(encoding="utf-8") != job.spec.text:
            return False
        outputs = {name: entry["sha256"] for name, entry in content["outputs"].items()}
        written = {name: sha for name, sha in outputs.items() if content_hash.is_model_file(name)}
        if content_hash.file_hashes(job.out) != written:
            return False
        return hashes.of(job) == {role: entry["sha256"] for role, entry in content["inputs"].items()}
    except (UserError, OSError):
        return False  # merged again, which reports what is wrong
