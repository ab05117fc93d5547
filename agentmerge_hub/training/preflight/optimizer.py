"""The optimizer and the learning-rate schedule of a run, made once for one number: what they refuse is known before training."""

from collections.abc import Collection
from typing import Any

import torch
from transformers import Trainer, get_scheduler
from trl import SFTConfig

from agentmerge_hub.errors import UserError

_OF_OPTIMIZER = ("optim_args", "optim_target_modules", "adam_beta1", "adam_beta2", "adam_epsilon")
"""Options that only some optimizers read."""


def check_optimizer(sft: SFTConfig, model: Any, steps: int, explicit: Collection[str] = ()) -> None:
    """Make the optimizer and the schedule as transformers' trainer does.

    Args:
        sft: TRL's settings of the trainer.
        model: as `model_loading.empty_model` makes it.
        steps: optimizer steps of the run.
        explicit: names of the options that the recipe or the command line set.

    Raises:
        UserError: if a package is missing, an argument is not accepted, or an option has no effect with this optimizer.
    """
    if sft.warmup_steps >= max(1, steps):
        raise UserError(
            f"warmup_steps is {sft.warmup_steps:g} and the run has {steps} steps, so that the learning rate never reaches learning_rate: "
            "lower it, or set a part of the steps, such as 0.05"
        )
    try:
        kind, arguments = Trainer.get_optimizer_cls_and_kwargs(sft, model)
        for option in _OF_OPTIMIZER:
            given = getattr(sft, option)
            if given is not None and option in explicit and _arguments(sft, model, option) == arguments:
                raise ValueError(
                    f"{option} {given!r} has no effect with optim {getattr(sft.optim, 'value', sft.optim)}"
                )
        if {"params", "model", "optimizer_dict"} & set(arguments):  # made for the parameters of this model
            optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=sft.learning_rate)
        else:
            optimizer = kind([torch.nn.Parameter(torch.zeros(1))], **arguments)
        get_scheduler(
            sft.lr_scheduler_type,
            optimizer=optimizer,
            num_warmup_steps=sft.get_warmup_steps(steps),
            num_training_steps=steps,
            scheduler_specific_kwargs=schedule if isinstance(schedule := sft.lr_scheduler_kwargs, dict) else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise UserError(
            f"the optimizer or the schedule refuses the settings (optim, optim_args, lr_scheduler_type, lr_scheduler_kwargs): "
            f"{' '.join(str(error).split())}"
        ) from error


def _arguments(sft: SFTConfig, model: Any, changed: str) -> dict[str, Any] | None:
    """The optimizer's arguments with another value of one option; None if the optimizer refuses to be without it."""
    given = getattr(sft, changed)
    setattr(sft, changed, given / 2 if isinstance(given, float) else None)
    try:
        return Trainer.get_optimizer_cls_and_kwargs(sft, model)[1]
    except ValueError:
        return None
    finally:
        setattr(sft, changed, given)
