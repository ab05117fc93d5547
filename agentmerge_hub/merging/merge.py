"""Runs merges: checked before the first byte, computed in one pass where possible, checked again, then made visible.

Input: specs and model folders. Output: one finished folder a merge, or none. A merge that fails does not stop the others.
torch is imported where it is needed: its import takes over a second, in which the inputs are hashed.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from math import prod
from pathlib import Path

from tqdm import tqdm

from agentmerge_hub.errors import UserError, is_no_space, os_errors_as_sentences
from agentmerge_hub.files import content_hash, output_folder
from agentmerge_hub.files.atomic_write import sync_path
from agentmerge_hub.files.scratch import scratch_folder
from agentmerge_hub.garbage import collection_paused
from agentmerge_hub.merging.inputs import model_configs
from agentmerge_hub.merging.inputs.input_hashes import input_file_hashes
from agentmerge_hub.merging.merge_job import MergeJob, MergeResult, MergeRun, MergeSettings
from agentmerge_hub.merging.outputs import model_card, model_checks, model_files, provenance
from agentmerge_hub.merging.preparation import check_disk_space, open_runs
from agentmerge_hub.merging.specs.spec import SPEC_FILE

Hashes = Mapping[Path, Mapping[str, str]]
"""Folder → file → sha256."""


def merge(
    jobs: Sequence[MergeJob],
    settings: MergeSettings | None = None,
    finished: Callable[[MergeResult], None] = lambda result: None,
) -> list[MergeResult]:
    """Run merges; those of task_arithmetic, linear and ties together, in one pass over all their inputs.

    Args:
        jobs: merges of models of one architecture.
        finished: receives each merge that succeeded, before the next pass, or the next run of mergekit, begins.

    Returns:
        One result a job, in their order. A merge that fails has its problem there; nothing of it is kept, and the others are
        not affected. Where the disk fills up, merges are given up one by one, so that the others are finished.

    Raises:
        UserError: if the settings name a device that is not here, or the operating system refuses to read or write what all
            merges need; nothing unfinished is kept.
    """
    settings = settings or MergeSettings()
    settings.check()
    started = time.time()
    runs = [MergeRun(job) for job in jobs]
    with os_errors_as_sentences(jobs[0].out if jobs else None):
        try:
            with scratch_folder("adapters") as scratch:
                open_runs(runs, settings, scratch)
                for run in _live(runs):
                    output_folder.remove_leftovers(run.job.out)
                check_disk_space(_live(runs))
                with ThreadPoolExecutor(3) as pool:
                    return _write(runs, settings, pool, started, finished)
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


def _live(runs: Sequence[MergeRun]) -> list[MergeRun]:
    return [run for run in runs if run.problem is None]


def _write(
    runs: Sequence[MergeRun],
    settings: MergeSettings,
    pool: ThreadPoolExecutor,
    started: float,
    finished: Callable[[MergeResult], None],
) -> list[MergeResult]:
    """Compute and finish every open merge; each appears when it is done. Files are hashed for the manifests meanwhile."""
    for run in _live(runs):
        with _failing(run):
            run.folder = run.stack.enter_context(
                output_folder.new_folder(run.job.out, provenance.STAGE, run.opened.read_folders)
            )
    inputs = {folder for run in _live(runs) for folder in run.opened.read_folders}
    input_hashes = pool.submit(_file_hashes, inputs)
    with collection_paused():
        from agentmerge_hub.merging.engine import mergekit_backend

    for run in _live(runs):
        with _failing(run):
            model_configs.check_loadable(run.opened.merged_configs)  # imports transformers, while files are hashed

    def finish(written: Sequence[MergeRun]) -> None:
        hashes = [(input_hashes, pool.submit(_weight_hashes, run), pool.submit(_flush, run.folder)) for run in written]
        for run, of_run in zip(written, hashes):
            _finish(run, of_run, settings, started=started)
        for run in _live(written):
            finished(_result(run))

    for run in _live(runs):
        if run.formula is None:
            with _failing(run):
                mergekit_backend.run(run.job.spec, run.folder, run.opened, shard_bytes=settings.shard_bytes)
                model_files.drop_auto_map(run.folder)
                _complete(run)
            finish(_live([run]))
    for group in _grouped([run for run in _live(runs) if run.formula is not None]):
        _stream(group, settings)
        finish(_live(group))
    return [_result(run) for run in runs]


def _result(run: MergeRun) -> MergeResult:
    replaced = None if run.problem else run.replaced
    return MergeResult(run.job.out, run.reply, run.problem, run.lacks_space, replaced)


@contextlib.contextmanager
def _failing(run: MergeRun) -> Iterator[None]:
    """Let an error of the block fail this merge alone, of the operating system too."""
    try:
        with os_errors_as_sentences(run.job.out):
            yield
    except UserError as error:
        run.lacks_space = run.lacks_space or is_no_space(error)
        run.fail(_renamed(str(error), run))


def _renamed(text: str, run: MergeRun) -> str:
    return text.replace(str(run.folder), str(run.job.out)) if run.folder.name else text


def _grouped(runs: Sequence[MergeRun]) -> list[list[MergeRun]]:
    """Merges that one pass can compute together: the same tensors with the same shapes."""
    groups: dict[tuple[object, ...], list[MergeRun]] = {}
    for run in runs:
        groups.setdefault(tuple(run.opened.shapes.items()), []).append(run)
    return list(groups.values())


def _stream(runs: Sequence[MergeRun], settings: MergeSettings) -> None:
    """Compute merges in one pass; those that fail are given up."""
    from agentmerge_hub.merging.engine import streaming
    from agentmerge_hub.merging.engine.shard_writer import ShardWriter

    with contextlib.ExitStack() as stack:
        background = stack.enter_context(ThreadPoolExecutor(2))
        merges = []
        for run in runs:
            assert run.formula is not None
            with _failing(run):
                model_files.write(run.job.spec.text, SPEC_FILE, run.opened, run.folder, run.formula.out_dtype)
                _complete(run)
                writer = ShardWriter(run.folder, run.opened.shapes, run.formula.out_dtype, settings.shard_bytes)
                stack.callback(writer.close)
                disk = run.folder.stat().st_dev
                discard = partial(_discard, run, writer.discard)
                finished = partial(_submit, background, writer.hash_up_to)
                run.hash_weights = writer.hashes
                merges.append(
                    streaming.StreamedMerge(run.formula, run.job.where, writer.write, discard, finished, disk)
                )
        runs = _live(runs)
        if not runs:
            return
        first = runs[0].opened
        tensors = {reference: found for run in runs for reference, found in run.opened.tensors.items()}
        total = sum(prod(shape) for shape in first.shapes.values())
        with tqdm(total=total, unit="value", unit_scale=True, desc="merge", leave=False, disable=None) as bar:
            failed = streaming.run(
                merges, tensors, first.shapes, first.architecture.depth, bar.update, device=settings.device
            )
    for index, problem in failed.items():
        run = runs[index]
        run.fail(f"{run.job.out}: {problem}" if run.lacks_space else problem)


def _complete(run: MergeRun) -> None:
    """Finish the files beside the weights and check them: before the weights are computed, where they are computed here."""
    model_files.complete(run.opened, run.folder)
    _stop_at(model_checks.tokenizer_findings(run.folder, run.opened))


def _stop_at(wrong: Sequence[str]) -> None:
    if wrong:
        raise UserError(f"the merge is not usable: {'; '.join(wrong)}")


def _submit(pool: ThreadPoolExecutor, work: Callable[[str], None], name: str) -> None:
    pool.submit(work, name)


def _discard(run: MergeRun, free: Callable[[], None]) -> None:
    """Free the disk space of a merge in the midst of a pass; its folder is removed after it."""
    run.lacks_space = True
    free()
    for path in run.folder.iterdir():
        if path.is_file() and path.suffix != ".safetensors":  # other threads may still write those
            path.unlink()


def _file_hashes(folders: set[Path]) -> Hashes:
    return {folder: input_file_hashes(folder) for folder in folders}


def _weight_hashes(run: MergeRun) -> Hashes:
    if run.hash_weights is not None:
        return {run.folder: run.hash_weights()}
    found = {path.name: content_hash.file_hash_by_process(path) for path in run.folder.glob("*.safetensors")}
    return {run.folder: found}


def _flush(folder: Path) -> Hashes:
    """Bring written weights to the disk. It returns no hashes, but raises an error of the disk."""
    for path in folder.glob("*.safetensors"):
        sync_path(path)
    return {}


def _finish(run: MergeRun, hashes: Sequence[Future[Hashes]], settings: MergeSettings, *, started: float) -> None:
    """Check a written model, write its card and manifest, and let it appear."""
    spec, inputs, folder, out = run.job.spec, run.opened, run.folder, run.job.out
    with _failing(run):
        try:
            _stop_at(model_checks.weight_findings(folder, inputs, by_mergekit=run.formula is None))
            if settings.reply and not settings.quick:
                run.reply = model_checks.reply(folder)
            elif not settings.quick:
                _stop_at(model_checks.unfit_weights(folder))
            roles = provenance.roles_of(spec)
            (folder / "README.md").write_text(model_card.draft(out.name, spec, roles, inputs), encoding="utf-8")
            counts = {**provenance.counts_of(folder), "reply": run.reply}
            known = {path: found for future in hashes for path, found in future.result().items()}
            provenance.write_manifest(folder, spec, inputs, counts=counts, started=started, known=known)
            run.stack.close()
        finally:
            wait(hashes)  # files that are being hashed stay until they are
