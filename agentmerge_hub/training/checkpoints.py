"""Checkpoints counted in samples, and finding the one to go on from.

A checkpoint is whole when its manifest.json stands, which is written last; others are never resumed from.
"""

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from agentmerge_hub import manifest
from agentmerge_hub.training.preflight import Plan

_NAME = re.compile(r"checkpoint-(\d+)")


def samples_seen(step: int, rows: int, batch: int, items: int | None = None) -> int:
    """Samples seen after `step` optimizer steps; an epoch's last batch may be smaller.

    Args:
        step: optimizer steps made.
        rows: of the training split.
        batch: items a step.
        items: what batches are made of in an epoch, where that is not rows but packs of several; a pack counts as the mean
            of its epoch, so that counts are exact where an epoch ends.
    """
    items = items or rows
    epochs, rest = divmod(step, math.ceil(items / batch))
    return epochs * rows + min(rest * batch, items) * rows // items


class EverySamples(TrainerCallback):
    """Saves at the first step at or after each multiple of `every` samples, and marks what was saved as whole."""

    def __init__(
        self,
        every: int,
        plan: Plan,
        lineage: dict[str, Any],
        measure: Callable[[Any, int, Path | None], None] | None = None,
    ) -> None:
        """Count in samples.

        Args:
            every: samples between checkpoints.
            plan: how many rows there are and a step takes.
            lineage: `inputs`, `config` and `counts` of the run's manifest.
            measure: called with the model, the samples seen and, on the main process, the checkpoint's folder.
        """
        self.every, self.plan, self.lineage, self.measure = every, plan, lineage, measure

    def seen(self, step: int) -> int:
        return samples_seen(step, self.plan.rows, self.plan.batch, self.plan.items)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        if self.seen(state.global_step) // self.every > self.seen(state.global_step - 1) // self.every:
            control.should_save = True
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self.measure:
            self.measure(kwargs["model"], self.seen(state.global_step), folder if state.is_world_process_zero else None)
        if state.is_world_process_zero and folder.is_dir():
            write_manifest(folder, self.lineage, self.seen(state.global_step), state)


def write_manifest(
    folder: Path,
    lineage: dict[str, Any],
    seen: int,
    state: TrainerState,
    started: float | None = None,
    **counts: Any,
) -> None:
    """Mark a checkpoint or the final model as whole; `counts` are further figures of it."""
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    manifest.write(
        folder,
        "sft",
        inputs=lineage["inputs"],
        config=lineage["config"] | {"samples_seen": seen},
        counts=lineage["counts"]
        | {"steps": state.global_step, "samples_seen": seen, "last_loss": losses[-1] if losses else None}
        | counts,
        started=started,
    )


def last_whole(run_folder: Path) -> Path | None:
    """The newest whole checkpoint, None if there is none; incomplete ones are removed."""
    whole = []
    for folder in run_folder.glob("checkpoint-*"):
        if not _NAME.fullmatch(folder.name):
            continue
        if (folder / manifest.NAME).is_file():
            whole.append(folder)
        else:
            shutil.rmtree(folder)
    return max(whole, key=lambda folder: int(folder.name.split("-")[1]), default=None)
