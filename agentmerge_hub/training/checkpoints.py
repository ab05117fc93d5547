"""Checkpoints: saved on schedule, marked as complete, rotated, and found again.

A checkpoint is complete once it has a manifest.json, which is written last; a run is never resumed from another. Older
checkpoints are deleted after the newer one is complete, so that a complete one exists at every moment.
"""

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import atomic_write, content_hash
from agentmerge_hub.training.preflight.save_schedule import SaveSchedule
from agentmerge_hub.training.run_dir import Lineage

_NAME = re.compile(r"checkpoint-(\d+)")

Scorer = Callable[[Any, int, Path | None], None]
"""Called with the model, the samples seen and, on the main process, the checkpoint's folder."""


class CheckpointCallback(TrainerCallback):
    """Saves on a schedule in samples, marks every checkpoint as complete and deletes those beyond a limit."""

    def __init__(
        self, schedule: SaveSchedule, lineage: Lineage, limit: int | None, score: Scorer | None = None
    ) -> None:
        """Set it up.

        Args:
            schedule: when a checkpoint is saved.
            lineage: for the manifests.
            limit: newest checkpoints that are kept (save_total_limit); None for all.
            score: expert likelihood of a checkpoint.
        """
        self.schedule, self.lineage, self.limit, self.score = schedule, lineage, limit, score

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Find the best checkpoint in the run's own folder: transformers forgets it where the run began under another path."""
        best = Path(str(args.output_dir)) / f"checkpoint-{state.best_global_step}"
        if state.best_global_step and best.is_dir():
            state.best_model_checkpoint = str(best)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        if self.schedule.is_due(state.global_step):
            control.should_save = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        run_dir = Path(str(args.output_dir))
        folder = run_dir / f"checkpoint-{state.global_step}"
        seen = self.schedule.batches.samples_seen(state.global_step)
        if self.score:
            self.score(kwargs["model"], seen, folder if state.is_world_process_zero else None)
        PartialState().wait_for_everyone()  # until every process has saved its random state
        if state.is_world_process_zero and folder.is_dir():
            write_manifest(folder, self.lineage, seen, state)
            delete_oldest(run_dir, self.limit, state.best_model_checkpoint)


def write_manifest(
    folder: Path, lineage: Lineage, seen: int, state: TrainerState, started: float | None = None, **counts: Any
) -> None:
    """Mark a checkpoint or the final model as complete; `counts` are further figures of it."""
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    manifest.write(
        folder,
        lineage.stage,
        inputs=lineage.inputs,
        config=lineage.config | {"samples_seen": seen},
        counts=lineage.counts
        | {"steps": state.global_step, "samples_seen": seen, "last_loss": losses[-1] if losses else None}
        | counts,
        started=started,
        known=lineage.hashes | {folder: _file_hashes(folder)},
    )


def _file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of all files of a folder, several at a time: an 8B model's checkpoint has 96 GB, and other processes wait."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(lambda name: content_hash.file_hash(folder / name), names)))


def delete_oldest(run_dir: Path, limit: int | None, best: str | None = None) -> None:
    """Keep the `limit` newest complete checkpoints and the best one."""
    if limit is None:
        return
    complete = _complete(run_dir)
    old = complete[: max(0, len(complete) - max(1, limit))]
    if old:
        atomic_write.sync(complete[-1])  # on the disk before anything that it replaces is deleted
    for folder in old:
        if best is None or folder.name != Path(best).name:
            _delete(folder)


def _delete(folder: Path) -> None:
    (folder / manifest.NAME).unlink(missing_ok=True)  # first, so that half of a checkpoint never counts as complete
    shutil.rmtree(folder)


def _complete(run_dir: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    folders = [folder for folder in run_dir.glob("checkpoint-*") if _NAME.fullmatch(folder.name)]
    complete = [folder for folder in folders if (folder / manifest.NAME).is_file()]
    return sorted(complete, key=lambda folder: int(folder.name.split("-")[1]))


def latest_complete(run_dir: Path) -> Path | None:
    """The newest complete checkpoint, None if there is none."""
    return max(_complete(run_dir), key=lambda folder: int(folder.name.split("-")[1]), default=None)


def check_whole(checkpoint: Path) -> None:
    """Check that a checkpoint has the files that were saved: without the optimizer's state a resumed run would be another one.

    Raises:
        UserError: if one is missing or was changed.
    """
    if problems := manifest.verify(checkpoint, manifest.read(checkpoint)["outputs"]):
        raise UserError(
            f"{checkpoint}: {problems[0]}: restore it, or delete this folder to go on from the checkpoint before"
        )


def last_step(checkpoint: Path) -> int | None:
    """The step of a checkpoint after which the run was to stop, as transformers writes it down; None if it was to go on."""
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    control = state.stateful_callbacks.get("TrainerControl", {}).get("args", {})
    return state.global_step if control.get("should_training_stop") else None


def has_results(run_dir: Path) -> bool:
    """Whether a run has a complete checkpoint or its final model."""
    return (run_dir / manifest.NAME).is_file() or latest_complete(run_dir) is not None


def remove_incomplete(run_dir: Path) -> None:
    """Delete what a killed run had only begun to save."""
    for folder in run_dir.glob("checkpoint-*"):
        if _NAME.fullmatch(folder.name) and not (folder / manifest.NAME).is_file():
            shutil.rmtree(folder)
