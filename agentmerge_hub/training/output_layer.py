"""TRL's output layer, which computes the loss of a run without keeping logits, must give what the model's own gives."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import model_loading

_LONGEST = 64
"""Tokens that are compared."""
_ROUNDING = 0.05
"""Share of the logits' standard deviation by which log-probabilities differ at most, in bfloat16 too."""


@torch.no_grad()
def check(model: PreTrainedModel, row: Sequence[int]) -> None:
    """Compare the log-probabilities of a row's tokens by TRL's output layer with those of the model's own logits.

    TRL scales and caps logits where it knows how a model does. It does not know RecurrentGemma's cap, and takes MPT's
    logit_scale, which transformers ignores: another model would be trained than is scored and served.

    Args:
        model: not wrapped, with TRL's output layer.
        row: token ids.

    Raises:
        UserError: if they differ, or the model's class does not name the decoder that TRL calls (Llama 4's).
    """
    if model.base_model is model:
        raise UserError(
            f"TRL finds no decoder in a model of type {model.config.model_type}, so that it cannot compute its loss here: train a model of "
            "another family"
        )
    if not model_loading.can_be_tried(model):
        return
    ids = torch.tensor([list(row[:_LONGEST])], device=next(model.parameters()).device)
    was_training = model.training
    model.eval()
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    scored = model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs.float()
    model.train(was_training)
    own = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    if (scored - own).abs().mean() > _ROUNDING * logits.std():
        raise UserError(
            f"TRL computes other logits for {model.config.model_type} than the model itself, which scales or caps them in a way of its "
            "own, so that training would be for another model than the one that is saved: train a model of another family"
        )
