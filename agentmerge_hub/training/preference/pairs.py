"""Pairs of chat rows in, token ids out, with nothing cut: the prompt, the chosen and the rejected answer.

A row that breaks the rule of `agentmerge_hub.chat_template.rendering` is refused here, as in supervised fine-tuning.
"""

import numpy as np
from datasets import Dataset, concatenate_datasets
from transformers import PreTrainedTokenizerBase

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.training import rows
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.cached_map import cached_map
from agentmerge_hub.training.preflight.token_counts import row_lengths
from agentmerge_hub.training.rows import IGNORED

ANSWERS = ("chosen", "rejected")
TRAINED = ("prompt_ids", "chosen_ids", "rejected_ids")
"""Columns of a tokenized pair that TRL's trainer reads."""


def tokenize(pairs: Dataset, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, config: RunConfig) -> Dataset:
    """TRL's columns ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``; and, for preflight, ``input_ids`` and ``labels`` with
    both sequences of a pair one after the other. They are in the cache of datasets, where TRL puts the reference
    log-probabilities that several processes share.

    Raises:
        UserError: names the first row whose text would be cut or rendered in another form.
    """
    chosen, rejected = (
        rows.tokenize(
            rows.with_answer(pairs, answer),
            tokenizer,
            template,
            config.sft.max_length,
            num_proc=config.sft.dataset_num_proc,
        )
        for answer in ANSWERS
    )
    both = concatenate_datasets(
        [one.rename_columns({name: f"{answer}_{name}" for name in one.column_names}) for answer, one in zip(ANSWERS, (chosen, rejected))],
        axis=1,
    )  # fmt: skip
    return cached_map(both, _pair, remove_columns=both.column_names, desc="Pairing")


def longest(dataset: Dataset) -> int:
    """Tokens of the longest prompt with one of its answers."""
    prompts, chosen, rejected = (row_lengths(dataset, name) for name in ("prompt_ids", "chosen_ids", "rejected_ids"))
    return int((prompts + np.maximum(chosen, rejected)).max())


def _pair(row: dict[str, list[int]]) -> dict[str, list[int]]:
    n_prompt = sum(label == IGNORED for label in row["chosen_labels"])
    return {
        "prompt_ids": row["chosen_input_ids"][:n_prompt],
        "chosen_ids": row["chosen_input_ids"][n_prompt:],
        "rejected_ids": row["rejected_input_ids"][n_prompt:],
        "input_ids": row["chosen_input_ids"] + row["rejected_input_ids"],
        "labels": row["chosen_labels"] + row["rejected_labels"],
    }
