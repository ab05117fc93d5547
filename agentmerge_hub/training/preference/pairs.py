"""Pairs of chat rows in, token ids out, with nothing cut: the prompt, the chosen and the rejected answer.

A row that breaks the rule of `agentmerge_hub.chat_template` is refused here, as in supervised fine-tuning.
"""

from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from agentmerge_hub.chat_template import ChatTemplate
from agentmerge_hub.training import rows
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.rows import IGNORED

ANSWERS = ("chosen", "rejected")
TRAINED = ("prompt_ids", "chosen_ids", "rejected_ids")
"""Columns of a tokenized pair that TRL's trainer reads."""


def tokenize(pairs: Dataset, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, config: RunConfig) -> Dataset:
    """TRL's columns ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``; and, for preflight, ``input_ids`` and ``labels`` with
    both sequences of a pair one after the other.

    Raises:
        UserError: names the first row whose text would be cut or rendered in another form.
    """
    chosen, rejected = (
        rows.tokenize(
            pairs.select_columns(["prompt", answer]).rename_column(answer, "completion"),
            tokenizer,
            template,
            config.sft.max_length,
        )
        for answer in ANSWERS
    )
    return Dataset.from_list([_pair(one, other) for one, other in zip(chosen, rejected, strict=True)])


def longest(dataset: Dataset) -> int:
    """Tokens of the longest prompt with one of its answers."""
    return max(len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in dataset)


def _pair(chosen: Any, rejected: Any) -> dict[str, list[int]]:
    n_prompt = sum(label == IGNORED for label in chosen["labels"])
    return {
        "prompt_ids": chosen["input_ids"][:n_prompt],
        "chosen_ids": chosen["input_ids"][n_prompt:],
        "rejected_ids": rejected["input_ids"][n_prompt:],
        "input_ids": chosen["input_ids"] + rejected["input_ids"],
        "labels": chosen["labels"] + rejected["labels"],
    }
