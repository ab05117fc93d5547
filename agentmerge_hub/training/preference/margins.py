"""How much more probable a model finds chosen answers than rejected ones, pair by pair, with the origin of the rejected answer.

The margin is the mean log-probability of the chosen answer's tokens minus that of the rejected answer's, end of turn included.
"""

import pyarrow as pa
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.training.likelihood import scoring
from agentmerge_hub.training.preference.pairs import ANSWERS

FILE = "margins.parquet"
SCHEMA = pa.schema(
    [
        ("pair_id", pa.string()),
        ("origin", pa.string()),
        ("split", pa.string()),
        ("samples_seen", pa.int64()),
        ("chosen_logprob", pa.float64()),
        ("rejected_logprob", pa.float64()),
        ("margin", pa.float64()),
    ]
)
"""Rows of margins.parquet: log-probabilities are means over the answer's tokens, in nats."""


def score(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    pairs: Dataset,
    split: str,
    samples_seen: int | None = None,
    batch: int = 8,
) -> pa.Table:
    """Score pairs; every process of a distributed launch gets the whole table.

    Args:
        pairs: rows of the config ``preferences``.
        split: its name, for the table.
        samples_seen: by the model in training, for the table.
        batch: answers of a forward pass.
    """
    chosen, rejected = (
        scoring.score(
            model,
            tokenizer,
            template,
            pairs.select_columns(["prompt", answer]).rename_column(answer, "completion"),
            split,
            batch,
        )["mean_logprob"].to_pylist()
        for answer in ANSWERS
    )
    records = [
        {
            "pair_id": pair.get("pair_id"),
            "origin": pair.get("origin"),
            "split": split,
            "samples_seen": samples_seen,
            "chosen_logprob": one,
            "rejected_logprob": other,
            "margin": one - other,
        }
        for pair, one, other in zip(pairs.remove_columns(["prompt", *ANSWERS]), chosen, rejected, strict=True)
    ]
    return pa.Table.from_pylist(records, SCHEMA)
