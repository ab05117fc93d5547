"""What a learned λ minimises: the negative log-likelihood of expert answers, and the distance from the instruct model.

The distance is KL(instruct ‖ merged) over the next token, at each token of the answers to general instructions. Both are means over
a row's answer tokens, then over rows, as in `agentmerge likelihood`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from agentmerge_hub.training.likelihood.answer_logits import answer_logits
from agentmerge_hub.training.rows import IGNORED
from agentmerge_hub.tuning.interpolation import Lambdas

MOST_TOKENS = 16_384
"""Tokens of a forward pass at most, padding included; a longer row has a pass of its own."""

MOST_LOGITS = 2**27
"""Answer tokens × vocabulary of a pass at most: half a GiB in float32, and a few times that with what is computed from them."""

Sample = tuple[Sequence[int], int]
"""Token ids of prompt and answer, and the number of those of the answer."""


@dataclass(frozen=True)
class Score:
    """The objective on some rows."""

    nll: float
    """Mean negative log-likelihood of an expert answer's token."""
    kl: float
    """Mean KL(instruct ‖ merged) of an instruction's answer token; 0 without instructions."""
    objective: float


@dataclass(frozen=True)
class RowSet:
    """Rows that are scored together."""

    answers: Sequence[Sample]
    """Expert answers."""
    instructions: Sequence[Sample]
    """General instructions with their answers; may be empty."""


def samples_of(tokenized: Any) -> list[Sample]:
    """Samples of rows that `training.rows.tokenize` made."""
    return [
        (ids, sum(label != IGNORED for label in labels))
        for ids, labels in zip(tokenized["input_ids"], tokenized["labels"])
    ]


class Objective:
    """The objective of one interpolated model."""

    def __init__(
        self,
        model: PreTrainedModel,
        lambdas: Lambdas,
        reference: PreTrainedModel,
        keep_weight: float,
    ) -> None:
        """
        Args:
            reference: the instruct model; `model` itself if that is it at λ = 0.
            keep_weight: weight of the distance.
        """
        self.model, self.lambdas, self.reference = model, lambdas, reference
        self.keep_weight = keep_weight
        self._vocabulary = model.get_output_embeddings().weight.shape[0]

    @torch.no_grad()
    def score(self, values: torch.Tensor, rows: RowSet) -> Score:
        """The objective at some λ, one a group."""
        nll = sum(float(part) for part in self._likelihood(values, rows.answers)) / len(rows.answers)
        kl = sum(float(part) for part in self._distance(values, rows.instructions)) / max(1, len(rows.instructions))
        return Score(nll, kl, nll + self.keep_weight * kl)

    def backward(self, values: torch.Tensor, rows: RowSet) -> None:
        """Add the objective's gradient to that of what `values` were computed from."""
        leaf = values.detach().requires_grad_()
        for part in self._likelihood(leaf, rows.answers):
            (part / len(rows.answers)).backward()
        for part in self._distance(leaf, rows.instructions):
            (part * self.keep_weight / len(rows.instructions)).backward()
        values.backward(leaf.grad)

    def _likelihood(self, values: torch.Tensor, samples: Sequence[Sample]) -> Iterator[torch.Tensor]:
        """For each pass, the sum over rows of the mean negative log-likelihood."""
        for batch in _batches(samples, self._vocabulary):
            parts = []
            for (ids, count), logits in zip(batch, self._logits(self.model, values, batch)):
                expected = torch.tensor(ids[-count:], device=logits.device)
                parts.append(F.cross_entropy(logits, expected))
            yield torch.stack(parts).sum()

    def _distance(self, values: torch.Tensor, samples: Sequence[Sample]) -> Iterator[torch.Tensor]:
        """For each pass, the sum over rows of the mean KL(instruct ‖ merged)."""
        if not self.keep_weight:
            return
        for batch in _batches(samples, self._vocabulary):
            with torch.no_grad():
                at_zero = torch.zeros_like(self.lambdas.values)
                wanted = [logits.log_softmax(-1) for logits in self._logits(self.reference, at_zero, batch)]
            found = [logits.log_softmax(-1) for logits in self._logits(self.model, values, batch)]
            parts = [F.kl_div(q, p, log_target=True, reduction="batchmean") for p, q in zip(wanted, found)]
            yield torch.stack(parts).sum()

    def _logits(self, model: torch.nn.Module, values: torch.Tensor, batch: Sequence[Sample]) -> list[torch.Tensor]:
        self.lambdas.values = values
        # Activations are recomputed in training mode only; dropout is switched off.
        model.train(torch.is_grad_enabled())
        return list(answer_logits(model, batch))


def _batches(samples: Sequence[Sample], vocabulary: int) -> Iterator[list[Sample]]:
    """Rows of like lengths, at most `MOST_TOKENS` tokens with their padding and `MOST_LOGITS` logits."""
    batch: list[Sample] = []
    for sample in sorted(samples, key=lambda sample: len(sample[0])):
        rows, answer = len(batch) + 1, max(count for _, count in (*batch, sample))
        if batch and (rows * len(sample[0]) > MOST_TOKENS or rows * answer * vocabulary > MOST_LOGITS):
            yield batch
            batch = []
        batch.append(sample)
    if batch:
        yield batch
