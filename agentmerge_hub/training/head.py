"""The loss without the prompt's logits.

TRL's loss head computes logits where a label is only on GPUs; on other devices it computes them at every position and
drops the prompt's afterwards. With prompts of thousands of tokens and vocabularies of 262,144 that is most of a step.
"""

import types
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from agentmerge_hub.training.rows import IGNORED


def only_trained_positions(model: PreTrainedModel) -> None:
    """Make TRL's loss head see the trained positions alone; loss and gradients stay what they were.

    The hidden states before each trained label, and those labels, are gathered into one row (1, number of labels) on
    their way into the head, which takes labels that are shifted already. Calls for anything but TRL's loss are untouched.

    Args:
        model: to which TRL's trainer has added its loss head (`trl.trainer.utils.add_fused_lm_head`), not wrapped.
    """
    with_head = model.forward
    chosen: list[torch.Tensor] = []  # during a forward pass, which positions (batch, length - 1) are trained

    def gather(_module: torch.nn.Module, _args: Any, output: BaseModelOutputWithPast) -> BaseModelOutputWithPast:
        if chosen:
            output.last_hidden_state = output.last_hidden_state[:, :-1][chosen[0]][None]
        return output

    def forward(
        self: PreTrainedModel,
        *args: Any,
        fused_lm_head: bool = False,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if not fused_lm_head:
            return with_head(*args, labels=labels, **kwargs) if labels is not None else with_head(*args, **kwargs)
        following = labels[:, 1:]
        chosen.append(following != IGNORED)
        try:
            return with_head(*args, fused_lm_head=True, shift_labels=following[chosen[0]][None], **kwargs)
        finally:
            chosen.clear()

    model.base_model.register_forward_hook(gather)
    model.forward = types.MethodType(forward, model)
