"""How much more probable a model finds chosen answers than rejected ones, pair by pair, with the origin of the rejected answer.

The margin is the mean log-probability of the chosen answer's tokens minus that of the rejected answer's, end of turn included.
"""

from pathlib import Path

import pyarrow as pa
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, Trainer

from agentmerge_hub.chat_template import ChatTemplate
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.checkpoints import Scorer
from agentmerge_hub.training.finetune import held_out_rows
from agentmerge_hub.training.likelihood import results, scoring
from agentmerge_hub.training.method import Method
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


def new_scorer(
    method: Method, config: RunConfig, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, trainer: Trainer
) -> Scorer | None:
    """Margins of a checkpoint on `likelihood_samples` held-out pairs of each split, in the precision of training."""
    if not config.options.likelihood_samples:
        return None
    held_out = held_out_rows(config, method)

    def score_checkpoint(model: torch.nn.Module, seen: int, folder: Path | None) -> None:
        with trainer.accelerator.autocast():
            tables = [score(model, tokenizer, template, rows, name, seen) for name, rows in held_out.items()]
        if folder and tables:
            results.write(pa.concat_tables(tables), folder / FILE)

    return score_checkpoint
