"""When a run saves a checkpoint: each time a number of samples was seen, or as TRL's save_strategy says."""

from dataclasses import dataclass

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.preflight.batches import Batches

DEFAULT_SAMPLES = 5120
"""Samples between two checkpoints, as in the paper."""


@dataclass(frozen=True)
class SaveSchedule:
    """Exactly one of both: `samples` between two checkpoints, or TRL's `strategy` (no, steps, epoch or best)."""

    samples: int | None
    strategy: str
    batches: Batches
    save_steps: float

    @classmethod
    def of(cls, config: RunConfig, batches: Batches) -> "SaveSchedule":
        """Read the schedule from a run's settings.

        Raises:
            UserError: if both kinds are set, or load_best_model_at_end without TRL's.
        """
        sft, samples = config.sft, config.options.checkpoint_samples
        strategy = str(getattr(sft.save_strategy, "value", sft.save_strategy))
        explicit = sorted(config.explicit & {"save_strategy", "save_steps"})
        if samples is not None and explicit and strategy != "no":
            raise UserError(
                f"checkpoint_samples and {explicit[0]} are both set: remove one of them, as each says when a checkpoint is saved"
            )
        if samples is None and explicit:
            return cls(None, strategy, batches, sft.save_steps)
        if sft.load_best_model_at_end:
            raise UserError(
                "load_best_model_at_end chooses among the checkpoints of TRL's save_strategy: set save_strategy and save_steps, and "
                "remove checkpoint_samples"
            )
        return cls(samples or DEFAULT_SAMPLES, "no", batches, sft.save_steps)

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint by samples is due after `step`: the first at or after each multiple."""
        if self.samples is None:
            return False
        seen = self.batches.samples_seen
        return seen(step) // self.samples > seen(step - 1) // self.samples

    def count(self, steps: int) -> int:
        """Checkpoints that a run of `steps` writes, at most."""
        if self.samples is not None:
            return min(self.batches.samples_seen(steps) // self.samples, steps)
        if self.strategy in ("steps", "best"):
            every = self.save_steps if self.save_steps >= 1 else max(1, round(self.save_steps * steps))
            return int(steps // every)
        return -(-steps // self.batches.steps_per_epoch) if self.strategy == "epoch" else 0
