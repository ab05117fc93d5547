"""How probable a model finds desirable and undesirable answers, row by row, with the origin of the answer."""

import pyarrow as pa
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.training.likelihood import scoring

FILE = "labeled_likelihood.parquet"
SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("label", pa.bool_()),
        ("origin", pa.string()),
        ("split", pa.string()),
        ("samples_seen", pa.int64()),
        ("logprob", pa.float64()),
    ]
)
"""Rows of labeled_likelihood.parquet: the log-probability is the mean over the answer's tokens, end of turn included, in nats."""


def score(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    labeled: Dataset,
    split: str,
    samples_seen: int | None = None,
    batch: int = 8,
) -> pa.Table:
    """Score labeled rows; every process of a distributed launch gets the whole table.

    Args:
        labeled: rows of the config ``unpaired``.
        split: its name, for the table.
        samples_seen: by the model in training, for the table.
        batch: rows of a forward pass.
    """
    scored = scoring.score(model, tokenizer, template, labeled.select_columns(["prompt", "completion"]), split, batch)
    records = [
        {"sample_id": row.get("sample_id"), "label": row["label"], "origin": row.get("origin"), "split": split, "samples_seen": samples_seen, "logprob": logprob}
        for row, logprob in zip(labeled.remove_columns(["prompt", "completion"]), scored["mean_logprob"].to_pylist(), strict=True)
    ]  # fmt: skip
    return pa.Table.from_pylist(records, SCHEMA)
