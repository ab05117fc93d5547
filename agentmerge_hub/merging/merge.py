"""Runs merges: checked before the first byte, computed in one pass where possible, checked again, then made visible.

Input: specs and model folders. Output: one finished folder a merge, or none. A merge that fails does not stop the others.
"""

import contextlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from tqdm import tqdm

from agentmerge_hub import content_hash, output_folder
from agentmerge_hub.atomic_write import sync_path
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.merging.engine import backends, mergekit_backend, streaming
from agentmerge_hub.merging.engine.shard_writer import SHARD_BYTES, ShardWriter
from agentmerge_hub.merging.inputs.checkpoint import locate
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs, open_inputs, split_reference
from agentmerge_hub.merging.inputs.safetensors_header import DTYPE_BYTES
from agentmerge_hub.merging.outputs import model_card, model_checks, model_files, provenance
from agentmerge_hub.merging.specs import mergekit_schema
from agentmerge_hub.merging.specs.formula import OUT_DTYPES, Formula, formula_of
from agentmerge_hub.merging.specs.spec import Spec, donor_of, references_of
from agentmerge_hub.scratch import scratch_folder

Hashes = Mapping[Path, Mapping[str, str]]
"""Folder → file → sha256."""


@dataclass(frozen=True)
class MergeJob:
    """One merge to run."""

    spec: Spec
    out: Path
    where: str
    """The spec's file, for messages."""


@dataclass(frozen=True)
class MergeResult:
    """One merge that was run."""

    out: Path
    reply: str | None = None
    problem: str | None = None
    """Why it was not kept; None if it was."""


@dataclass(frozen=True)
class MergeSettings:
    """How merges are run; none of it changes their weights."""

    reply: bool = True
    """Load each finished model and let it answer."""
    quick: bool = False
    """No reply, and specs that are computed here are not validated by mergekit's own classes, whose import takes as long as
    merging half a billion values."""
    shard_bytes: int = SHARD_BYTES
    """Bytes a weights file at most."""
    adapter_base: str | None = None
    """The model that adapters were trained on, where it is not at the path they name."""
    device: str = "cpu"
    """Where values are computed: ``cpu`` or ``cuda``."""


@dataclass
class _Run:
    """A job on its way: what was opened, and what ends with it."""

    job: MergeJob
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    inputs: MergeInputs | None = None
    formula: Formula | None = None
    folder: Path = Path()
    problem: str | None = None

    @property
    def opened(self) -> MergeInputs:
        assert self.inputs is not None, "only runs without a problem are used, and those are open"
        return self.inputs

    def fail(self, problem: str) -> None:
        """Give up one merge: what was written of it is removed."""
        self.problem = problem
        self.abort(UserError(problem))

    def abort(self, error: BaseException) -> None:
        """Leave the output folder with an error, which removes what was written."""
        with contextlib.suppress(type(error), UserError):
            self.stack.__exit__(type(error), error, error.__traceback__)


def merge(jobs: Sequence[MergeJob], settings: MergeSettings | None = None) -> list[MergeResult]:
    """Run merges; those of task_arithmetic, linear and ties together, in one pass over all their inputs.

    Args:
        jobs: merges of models of one architecture.

    Returns:
        One result a job, in their order. A merge that fails has its problem there; nothing of it is kept, and the others are
        not affected.

    Raises:
        UserError: if the operating system refuses to write, e.g. on a full disk; nothing unfinished is kept.
    """
    settings = settings or MergeSettings()
    started = time.time()
    runs = [_Run(job) for job in jobs]
    with os_errors_as_sentences(jobs[0].out if jobs else None):
        try:
            with scratch_folder("adapters") as scratch:
                _open(runs, settings, scratch)
                _check_disk_space(_live(runs))
                with ThreadPoolExecutor(3) as pool:
                    return _write(runs, settings, pool, started)
        except BaseException as error:
            for run in runs:
                run.abort(error)
            raise


def merge_one(job: MergeJob, settings: MergeSettings | None = None) -> MergeResult:
    """Run one merge.

    Raises:
        UserError: if it fails.
    """
    (result,) = merge([job], settings)
    if result.problem:
        raise UserError(result.problem)
    return result


def _live(runs: Sequence[_Run]) -> list[_Run]:
    return [run for run in runs if run.problem is None]


def _open(runs: Sequence[_Run], settings: MergeSettings, scratch: Path) -> None:
    """Check every spec and output, and open the inputs; merges of the same models share them."""
    opened: dict[tuple[object, ...], MergeInputs] = {}
    for run in runs:
        spec, where = run.job.spec, run.job.where
        try:
            output_folder.check_replaceable(run.job.out, provenance.STAGE)
            if not settings.quick or formula_of(spec) is None:
                mergekit_schema.validate(spec, where)
            if spec.is_random and spec.seed is None:
                raise UserError(f"{where}: {spec.config['merge_method']} is random and names no seed: add `# seed: 42`")
            output_folder.check_not_input(run.job.out, located_folders(spec))
            key = (*references_of(spec), donor_of(spec), spec.config.get("base_model"), str(spec.config.get("tokenizer")),
                   str(spec.config.get("tokenizer_source")))  # fmt: skip
            if key not in opened:
                opened[key] = open_inputs(spec, scratch, settings.adapter_base)
            run.inputs = opened[key]
            output_folder.check_not_input(run.job.out, run.inputs.read_folders)
            run.formula = backends.streaming_formula(spec, run.inputs)
            if run.formula is None:
                mergekit_schema.validate(spec, where)
            else:
                backends.check_layers(run.formula, run.inputs)
        except UserError as error:
            run.fail(str(error))


def located_folders(spec: Spec) -> list[Path]:
    """The folders that a spec names and that are there; Hub ids are not looked up."""
    parts = [part for reference in references_of(spec) for part in split_reference(reference) if part]
    return [locate(part) for part in parts if Path(part).is_dir()]


def written_bytes(spec: Spec, inputs: MergeInputs) -> int:
    """Bytes of a merge's weights."""
    name = spec.config.get("out_dtype") or spec.config.get("dtype") or "float32"
    return sum(prod(shape) for shape in inputs.shapes.values()) * DTYPE_BYTES[OUT_DTYPES.get(name, "F32")]


def _check_disk_space(runs: Sequence[_Run]) -> None:
    """Fail every merge that the disk cannot take, in their order."""
    free: dict[int, int] = {}
    for run in runs:
        out = run.job.out.absolute()
        place = next(path for path in (out, *out.parents) if path.exists())
        device = place.stat().st_dev
        needed = written_bytes(run.job.spec, run.opened)
        left = free.setdefault(device, shutil.disk_usage(place).free)
        if left < needed:
            run.fail(f"{place} has {left / 1e9:.1f} GB free, and the merge takes {needed / 1e9:.1f}: free some space")
        else:
            free[device] = left - needed


def _write(
    runs: Sequence[_Run], settings: MergeSettings, pool: ThreadPoolExecutor, started: float
) -> list[MergeResult]:
    """Compute and finish every open merge. Files are hashed for the manifests while the pass runs."""
    for run in _live(runs):
        try:
            run.folder = run.stack.enter_context(
                output_folder.new_folder(run.job.out, provenance.STAGE, run.opened.read_folders)
            )
        except UserError as error:
            run.fail(str(error))
    inputs = {folder for run in _live(runs) for folder in run.opened.read_folders}
    hashes = [pool.submit(_file_hashes, inputs)]
    for run in _live(runs):
        if run.formula is None:
            with _failing(run):
                mergekit_backend.run(
                    run.job.spec, run.folder, run.opened, shard_bytes=settings.shard_bytes, device=settings.device
                )
                model_files.drop_auto_map(run.folder)
    for group in _grouped([run for run in _live(runs) if run.formula is not None]):
        _stream(group, settings)
    folders = [run.folder for run in _live(runs)]
    hashes += [pool.submit(_weight_hashes, folders), pool.submit(_flush, folders)]
    results = []
    for run in runs:
        if run.problem is None:
            results.append(_finish(run, hashes, reply=settings.reply and not settings.quick, started=started))
        else:
            results.append(MergeResult(run.job.out, None, run.problem))
    return results


@contextlib.contextmanager
def _failing(run: _Run) -> Iterator[None]:
    """Let an error of the block fail this merge alone."""
    try:
        yield
    except UserError as error:
        run.fail(_renamed(str(error), run))


def _renamed(text: str, run: _Run) -> str:
    return text.replace(str(run.folder), str(run.job.out)) if run.folder.name else text


def _grouped(runs: Sequence[_Run]) -> list[list[_Run]]:
    """Merges that one pass can compute together: the same tensors with the same shapes."""
    groups: dict[tuple[object, ...], list[_Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run.opened.shapes.items()), []).append(run)
    return list(groups.values())


def _stream(runs: Sequence[_Run], settings: MergeSettings) -> None:
    """Compute merges in one pass; those that fail are given up."""
    with contextlib.ExitStack() as stack:
        merges = []
        for run in runs:
            assert run.formula is not None
            model_files.write(
                run.job.spec.text, mergekit_backend.SPEC_FILE, run.opened, run.folder, run.formula.out_dtype
            )
            writer = ShardWriter(run.folder, run.opened.shapes, run.formula.out_dtype, settings.shard_bytes)
            stack.callback(writer.close)
            merges.append(streaming.StreamedMerge(run.formula, run.job.where, writer.write))
        first = runs[0].opened
        tensors = {reference: found for run in runs for reference, found in run.opened.tensors.items()}
        total = sum(prod(shape) for shape in first.shapes.values())
        with tqdm(total=total, unit="value", unit_scale=True, desc="merge", leave=False, disable=None) as bar:
            failed = streaming.run(
                merges, tensors, first.shapes, first.architecture.depth, bar.update, device=settings.device
            )
    for index, problem in failed.items():
        runs[index].fail(problem)


def _file_hashes(folders: set[Path]) -> Hashes:
    return {folder: content_hash.file_hashes(folder) for folder in folders}


def _weight_hashes(folders: Sequence[Path]) -> Hashes:
    return {
        folder: {path.name: content_hash.file_hash(path) for path in folder.glob("*.safetensors")} for folder in folders
    }


def _flush(folders: Sequence[Path]) -> Hashes:
    """Bring written weights to the disk. It returns no hashes, but raises an error of the disk."""
    for path in (path for folder in folders for path in folder.glob("*.safetensors")):
        sync_path(path)
    return {}


def _finish(run: _Run, hashes: Sequence[Future[Hashes]], *, reply: bool, started: float) -> MergeResult:
    """Check a written model, write its card and manifest, and let it appear."""
    spec, inputs, folder, out = run.job.spec, run.opened, run.folder, run.job.out
    try:
        model_files.complete(inputs, folder)
        wrong = model_checks.findings(folder, inputs, by_mergekit=run.formula is None)
        if wrong:
            raise UserError(f"the merge is not usable: {'; '.join(wrong)}")
        answer = model_checks.reply(folder) if reply else None
        roles = provenance.roles_of(spec)
        (folder / "README.md").write_text(model_card.draft(out.name, spec, roles, inputs), encoding="utf-8")
        counts = {"tensors": len(inputs.shapes), "parameters": sum(map(prod, inputs.shapes.values())), "reply": answer}
        known = {path: found for future in hashes for path, found in future.result().items()}
        provenance.write_manifest(folder, spec, inputs, counts=counts, started=started, known=known)
        run.stack.close()
    except UserError as error:
        wait(hashes)  # files that are being hashed stay until they are
        run.fail(_renamed(str(error), run))
        return MergeResult(out, None, run.problem)
    return MergeResult(out, answer)
