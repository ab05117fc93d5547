"""A run that diverged ends with a sentence: no weight that is no number is ever saved, and no step is trained after one was seen.

transformers trains on, replaces such losses in the log by the mean of the others, and saves such weights as a finished model.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from peft import PeftModel
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from agentmerge_hub.errors import UserError


class DivergenceCallback(TrainerCallback):
    """Stops at the first log entry whose loss or gradient is no number; it reads what is logged anyway, on every process."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if name := not_finite(kwargs["model"].named_parameters()):
            raise UserError(f"the weights of {self.model_name} hold a NaN or an infinity, in {name}: use another model")

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logged = kwargs["logs"]
        # In float16 gradients overflow now and then: such a step is left out, and the next one scaled down.
        for figure in ("loss", "eval_loss") if args.fp16 else ("loss", "eval_loss", "grad_norm"):
            if not math.isfinite(logged.get(figure, 0.0)):
                raise diverged(f"{figure} is {logged[figure]}", state.global_step, args, kwargs["model"])


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
