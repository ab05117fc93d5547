"""How an epoch is divided into batches and steps, and how many samples a run has seen after a step."""

import math
import os
from dataclasses import dataclass

from trl import SFTConfig

from agentmerge_hub.errors import UserError


@dataclass(frozen=True)
class Batches:
    """One epoch in figures."""

    rows: int
    items: int
    """What batches are made of: rows, or packs of several."""
    batch: int
    """Items of an optimizer step, over all devices: per device × devices × accumulation."""
    items_per_epoch: int
    """Items that are trained in an epoch: all, or those of full batches with dataloader_drop_last."""
    repeated: int = 0
    """Items of the last batches of an epoch that are trained twice in it, so that each of several processes has a full batch."""

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.items_per_epoch / self.batch)

    def steps(self, sft: SFTConfig) -> int:
        """Optimizer steps of the whole run."""
        return sft.max_steps if sft.max_steps > 0 else math.ceil(self.steps_per_epoch * sft.num_train_epochs)

    def samples_seen(self, step: int) -> int:
        """Rows seen after `step` optimizer steps; the last batch of an epoch may be smaller.

        A pack counts as the mean number of rows of its epoch, so that counts are exact at the end of an epoch.
        """
        epochs, rest = divmod(step, self.steps_per_epoch)
        items = epochs * self.items_per_epoch + min(rest * self.batch, self.items_per_epoch)
        return items * self.rows // self.items


def count_batches(rows: int, items: int, sft: SFTConfig) -> Batches:
    """Divide an epoch as transformers' trainer does.

    Raises:
        UserError: if dataloader_drop_last drops everything.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    together = sft.per_device_train_batch_size * processes
    kept = items // together * together if sft.dataloader_drop_last else items
    if not kept:
        raise UserError(
            f"dataloader_drop_last drops the only batch: there are {items} rows or packs, and a batch has {together}; set it to "
            "false or lower per_device_train_batch_size"
        )
    repeated = -kept % together if processes > 1 else 0
    return Batches(rows, items, together * sft.gradient_accumulation_steps, kept, repeated)
