"""Activations of some decoder layers are computed again in the backward pass, those of the others are kept (`recomputed_layers`).

The lowest layers are the ones computed again: the backward pass reaches them last, when the kept activations are gone.
"""

from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunConfig


def decoder_layers(model: Any) -> torch.nn.ModuleList:
    """The model's longest list of modules, of those that can be computed again if it has such; else the whole model as one layer."""
    lists = [each for each in model.modules() if isinstance(each, torch.nn.ModuleList) and len(each)]
    switched = [each for each in lists if isinstance(each[0], GradientCheckpointingLayer)]
    return max(switched or lists, key=len, default=torch.nn.ModuleList([model]))


def recomputed_layers(model: Any, config: RunConfig) -> int:
    """How many of the decoder layers a run computes again.

    Raises:
        UserError: if the model cannot compute layers again, `recomputed_layers` is more than it has, or its layers have no
            switch of their own.
    """
    layers, wanted = decoder_layers(model), config.options.recomputed_layers
    if not config.sft.gradient_checkpointing:
        return 0
    if not model.supports_gradient_checkpointing:
        raise UserError(
            f"activation_checkpointing cannot be applied to {model.config.model_type}, whose layers cannot be computed again: set it to "
            "false"
        )
    if wanted is None:
        return len(layers)
    if not isinstance(layers[0], GradientCheckpointingLayer):
        raise UserError(
            f"recomputed_layers cannot be applied to {model.config.model_type}, whose layers are computed again all or none: remove it"
        )
    if wanted > len(layers):
        raise UserError(
            f"recomputed_layers is {wanted} and the model has {len(layers)} layers: lower it, or remove it for all"
        )
    return wanted


def leave_out_upper_layers(model: PreTrainedModel, config: RunConfig) -> None:
    """Whenever activation checkpointing is enabled, leave it out above the `recomputed_layers` lowest layers.

    transformers' own `every_n_layers` leaves out at least every second one, and TRL's preference trainers, which enable checkpointing
    again after each pass of the reference, do not hand it on.

    Args:
        model: without its adapter; checkpointing is enabled when the training begins.
        config: the run's settings.
    """
    count, switch = config.options.recomputed_layers, model._set_gradient_checkpointing
    if count is None:
        return

    def switch_lowest(*args: Any, **kwargs: Any) -> None:
        switch(*args, **kwargs)
        upper: Any = decoder_layers(model)[count:]
        for layer in upper:
            layer.gradient_checkpointing = False

    model._set_gradient_checkpointing = switch_lowest  # type: ignore[method-assign]
