"""A run that diverged ends with a sentence: no weight that is no number is ever saved, and no step is trained after one was seen.
So does one whose steps change no weight, because their gradients overflow float16.

transformers trains on, replaces such losses in the log by the mean of the others, and saves such weights as a finished model.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import extract_model_from_parallel
from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from agentmerge_hub.errors import UserError
from agentmerge_hub.plural import counted

_MOST_SKIPPED = 40
"""Steps in a row that may be skipped: each halves the scale of the loss, and float16 spans 40 halvings, from 2**16 to 2**-24."""


class DivergenceCallback(TrainerCallback):
    """Stops at the first log entry whose loss or gradient is no number, which it reads where they are logged anyway, and where
    the optimizer skips step after step; on every process."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name
        self.scale = 0.0
        """Of the loss in float16, after the last step."""
        self.skipped = 0
        """Steps up to the last one that the optimizer skipped one after the other."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if name := not_finite(kwargs["model"].named_parameters()):
            raise UserError(f"the weights of {self.model_name} hold a NaN or an infinity, in {name}: use another model")
        self.scale = _loss_scale(kwargs["optimizer"])

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logged = kwargs["logs"]
        # In float16 gradients overflow now and then: such a step is left out, and the next one scaled down.
        for figure in ("loss", "eval_loss") if args.fp16 else ("loss", "eval_loss", "grad_norm"):
            if not math.isfinite(logged.get(figure, 0.0)):
                raise diverged(f"{figure} is {logged[figure]}", state.global_step, args, kwargs["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        before, self.scale = self.scale, _loss_scale(kwargs["optimizer"])
        self.skipped = self.skipped + 1 if self.scale < before or kwargs["optimizer"].step_was_skipped else 0
        if self.skipped >= _MOST_SKIPPED:
            raise self._overflow(state)
        self.on_epoch_end(args, state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let no checkpoint be saved before a step changed the weights. A run that was resumed from one has made such a step."""
        if control.should_save and 0 < self.skipped == state.global_step:
            raise self._overflow(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if 2 * self.skipped > state.global_step:
            raise self._overflow(state)

    def _overflow(self, state: TrainerState) -> UserError:
        return UserError(
            f"the gradients of the {counted(self.skipped, 'step')} up to step {state.global_step} overflowed float16, so that they "
            "changed no weight: set fp16 to false, or bf16 to true in its place, and choose another output_dir; of this run the "
            "checkpoints before are kept"
        )


def _loss_scale(optimizer: AcceleratedOptimizer) -> float:
    """By what the loss is multiplied in float16; it gets smaller after a skipped step only. accelerate itself does not notice the
    steps that a fused AdamW skips."""
    return optimizer.scaler.get_scale() if optimizer.scaler else 0.0


def not_finite(weights: Iterable[tuple[str, torch.Tensor]]) -> str | None:
    """The name of the first tensor that holds a NaN or an infinity, None if none does; integers, as those of quantized models, are
    skipped."""
    for name, tensor in weights:
        values: Any = tensor.detach()
        if hasattr(values, "to_local"):  # the part of sharded weights that this process has
            values = values.to_local()
        if values.is_floating_point() and values.numel():
            lowest, highest = torch.aminmax(values)  # NaN if there is one; takes no memory, as isfinite does
            if not (lowest.isfinite() and highest.isfinite()):
                return name
    return None


def diverged(what: str, step: int, args: TrainingArguments, model: torch.nn.Module) -> UserError:
    """The sentence.

    Args:
        what: that was seen.
        step: after which it was seen.
        args: the run's settings, of which it says what to change.
        model: that was trained.
    """
    changes = [f"lower learning_rate ({args.learning_rate:g})", "raise warmup_steps"]
    if args.bf16 or args.fp16:
        changes.append(f"set {'bf16' if args.bf16 else 'fp16'} to false")
    plain: Any = extract_model_from_parallel(model)
    if isinstance(plain, PeftModel) and getattr(plain.active_peft_config, "use_dora", False):
        changes.append("set use_dora to false (DoRA divides by the norms of weights, which may be 0)")
    return UserError(
        f"the training diverged: after step {step} {what}: {', '.join(changes[:-1])} or {changes[-1]}, and choose another output_dir; "
        "of this run the checkpoints before are kept"
    )
