"""The optimizer and the learning-rate schedule of a run, made once for one number: what they refuse is known before training."""

from typing import Any

import torch
from transformers import Trainer, get_scheduler
from trl import SFTConfig

from agentmerge_hub.errors import UserError


def check_optimizer(sft: SFTConfig, model: Any, steps: int) -> None:
    """Make the optimizer and the schedule as transformers' trainer does.

    Args:
        sft: TRL's settings of the trainer.
        model: as `model_loading.empty_model` makes it.
        steps: optimizer steps of the run.

    Raises:
        UserError: if a package is missing, an argument is not accepted, or `optim_args` has no effect.
    """
    try:
        kind, arguments = Trainer.get_optimizer_cls_and_kwargs(sft, model)
        if sft.optim_args:
            given, sft.optim_args = sft.optim_args, None
            without = Trainer.get_optimizer_cls_and_kwargs(sft, model)[1]
            sft.optim_args = given
            if without == arguments:
                raise ValueError(
                    f"optim_args {given!r} has no effect with optim {getattr(sft.optim, 'value', sft.optim)}"
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
