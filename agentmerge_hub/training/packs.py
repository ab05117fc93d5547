"""Packs: several rows in one sequence, each with positions from 0. A model must not let one row see another."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import model_loading

_LONGEST = 256
"""Tokens of each row that are compared, beyond the usual sliding windows of 128."""


@torch.no_grad()
def check(model: PreTrainedModel, rows: Sequence[Sequence[int]]) -> None:
    """Compare the logits of two rows in one pack with those of each alone.

    Models that take no notice of position_ids when they mask, such as GPT-OSS with eager attention or BLOOM, would train
    each row with the rows before it.

    Args:
        model: not wrapped; without weights (``meta``, ZeRO-3) nothing is compared.
        rows: token ids of two rows.

    Raises:
        UserError: if they differ.
    """
    if not model_loading.can_be_tried(model):
        return  # FlashAttention takes the rows' lengths
    device = next(model.parameters()).device
    first, second = (torch.tensor([list(rows[place][:_LONGEST])], device=device) for place in (0, -1))
    positions = torch.cat([torch.arange(each.shape[1], device=device) for each in (first, second)])[None]
    was_training = model.training
    model.eval()
    taken = model_loading.accepted_options(model, position_ids=positions)
    packed = model(input_ids=torch.cat([first, second], 1), use_cache=False, **taken).logits
    alone = model(input_ids=second, use_cache=False).logits
    model.train(was_training)
    difference = (packed[:, first.shape[1] :].float() - alone.float()).abs().max()
    if difference > 0.01 * alone.float().std():
        raise UserError(
            f"packing and padding_free cannot be applied to {model.config.model_type} with {model.config._attn_implementation} "
            "attention: rows of a pack see each other; remove them, or set attn_implementation to another"
        )
