"""The loss without the prompt's logits.

TRL's loss head computes logits where a label is only on GPUs; on other devices it computes them at every position and
drops the prompt's afterwards. With prompts of thousands of tokens and vocabularies of 262,144 that is most of a step.
"""

import types
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast
from trl.trainer.utils import FusedCausalLMOutput

from agentmerge_hub.training.rows import IGNORED

AT_ONCE = 2**28
"""Logits that may stand in memory at once, 1 GiB in float32 and a few times that with what is computed from them. Up to
there they are computed in one product, which on a CPU takes half the time of TRL's tiles; beyond, in its tiles."""


def only_trained_positions(model: PreTrainedModel, at_once: int = AT_ONCE) -> None:
    """Make TRL's loss see the trained positions alone; loss and gradients stay what they were.

    The hidden states before each trained label, and those labels, are gathered into one row (1, number of labels) on
    their way into the head. Calls for anything but TRL's loss are untouched.

    Args:
        model: to which TRL's trainer has added its loss head (`trl.trainer.utils.add_fused_lm_head`), not wrapped.
        at_once: labels × vocabulary up to which logits are computed in one product.
    """
    with_head = model.forward
    vocabulary = model.get_output_embeddings().weight.shape[0]
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
        chosen.append(labels[:, 1:] != IGNORED)
        expected = labels[:, 1:][chosen[0]][None]
        try:
            if expected.numel() * vocabulary > at_once:
                return with_head(*args, fused_lm_head=True, shift_labels=expected, **kwargs)
            return _scores(with_head(*args, **kwargs).logits, expected)
        finally:
            chosen.clear()

    model.base_model.register_forward_hook(gather)
    model.forward = types.MethodType(forward, model)


def _scores(logits: torch.Tensor, expected: torch.Tensor) -> FusedCausalLMOutput:
    """What TRL's loss and metrics take.

    Args:
        logits: of the trained positions (1, N, vocabulary).
        expected: their labels (1, N).
    """
    logprobs = logits.float().log_softmax(-1)
    with torch.no_grad():
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        hit = logprobs.argmax(-1) == expected
    # A copy, as FSDP2 wants no views to leave a module.
    chosen = logprobs.gather(-1, expected[..., None])[..., 0].clone()
    return FusedCausalLMOutput(
        loss=-chosen.mean(), log_probs=chosen, entropy=entropy, is_top1=hit, label_mask=torch.ones_like(hit)
    )
