"""Logits of the tokens of answers, each after its prompt. Logits of the prompts are never computed. Gradients are kept."""

from collections.abc import Iterator, Sequence

import torch

from agentmerge_hub.training import model_loading


def answer_logits(model: torch.nn.Module, samples: Sequence[tuple[Sequence[int], int]]) -> Iterator[torch.Tensor]:
    """For each sample the logits that predict its answer's tokens, in float32 (answer tokens, vocabulary).

    Rows are padded on the left, so that all answers are at the end: logits are computed there only, and take memory in
    proportion to the longest answer, not to the prompts. Padding is masked, so that the token 0 serves as well as any.

    Args:
        model: any causal language model, wrapped or not.
        samples: token ids of prompt and answer, and how many of them are the answer's.
    """
    length = max(len(ids) for ids, _ in samples)
    device = next(model.parameters()).device
    ids = torch.zeros((len(samples), length), dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for row, (sample, _) in enumerate(samples):
        ids[row, length - len(sample) :] = torch.tensor(sample, device=device)
        mask[row, length - len(sample) :] = 1
    kept = max(answer for _, answer in samples) + 1
    options = model_loading.accepted_options(
        model, logits_to_keep=kept, position_ids=(mask.cumsum(-1) - 1).clamp(min=0)
    )
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **options).logits
    for row, (_, answer) in enumerate(samples):
        yield logits[row, -answer - 1 : -1].float()
