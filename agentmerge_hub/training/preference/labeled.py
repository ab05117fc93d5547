"""Chat rows with a label in, token ids out, with nothing cut: the prompt, the answer, and an answer of another row for KTO's KL term.

TRL takes the rows of a KTO run in the given order, because each batch exchanges its answers: the rows are shuffled here, by the
run's seed.
"""

from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import rows
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.cached_map import cached_map
from agentmerge_hub.training.preflight.token_counts import row_lengths
from agentmerge_hub.training.rows import IGNORED

TRAINED = ("prompt_ids", "completion_ids", "KL_completion_ids", "label")
"""Columns of a tokenized row that TRL's trainer reads."""
_BALANCED = (1.0, 4 / 3)
"""Total weight of desirable over undesirable answers: equation 8 of the KTO paper, https://arxiv.org/abs/2402.01306."""


def tokenize(
    labeled: Dataset, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, config: RunConfig
) -> Dataset:
    """The columns `TRAINED`; and, for preflight, ``input_ids`` and ``labels``.

    Raises:
        UserError: names the first row whose text would be cut or rendered in another form; or if all rows have one label.
    """
    found = set(labeled["label"])
    if found != {True, False}:
        raise UserError(
            f"KTO needs desirable and undesirable answers, and label is {' or '.join(map(str, found))} in every row: build the "
            "dataset from traces with unsuccessful episodes or refused answers, or use method dpo on the config preferences"
        )
    shuffled = labeled.shuffle(seed=config.sft.seed)
    encoded = rows.tokenize(
        shuffled.select_columns(["prompt", "completion"]),
        tokenizer,
        template,
        config.sft.max_length,
        num_proc=config.sft.dataset_num_proc,
    )
    return cached_map(
        encoded,
        _with_exchanged_answers,
        batched=True,
        batch_size=config.sft.per_device_train_batch_size,
        with_indices=True,
        fn_kwargs={"desirable": list(shuffled["label"])},
        desc="Exchanging answers",
    )


def longest(dataset: Dataset) -> int:
    """Tokens of the longest prompt with its answer or with that of the other row."""
    prompts, answers, others = (
        row_lengths(dataset, name) for name in ("prompt_ids", "completion_ids", "KL_completion_ids")
    )
    return int((prompts + np.maximum(answers, others)).max())


def desirable(labeled: Dataset) -> Dataset:
    """The rows whose label is true."""
    return labeled.select([index for index, label in enumerate(labeled["label"]) if label])


def balance_warning(dataset: Dataset, config: RunConfig) -> str | None:
    """A sentence if desirable and undesirable answers do not have about the same total weight, None if they do."""
    settings: Any = config.sft
    good = sum(dataset["label"])
    bad = len(dataset) - good
    if not good or not bad:
        return None
    ratio = settings.desirable_weight * good / (settings.undesirable_weight * bad)
    if _BALANCED[0] <= ratio <= _BALANCED[1]:
        return None
    weight = settings.undesirable_weight * bad / good
    return (
        f"Warning: {good} answers are desirable and {bad} are not, and their weights do not balance them: set desirable_weight to "
        f"{weight:.2f} … {weight * _BALANCED[1]:.2f}"
    )


def _with_exchanged_answers(batch: dict[str, list], indices: list[int], desirable: list[bool]) -> dict[str, list]:
    """The columns `TRAINED` of one batch of a device. Each answer is also put after the prompt of the next row, as TRL does it."""
    sizes = [sum(label == IGNORED for label in labels) for labels in batch["labels"]]
    answers = [ids[size:] for ids, size in zip(batch["input_ids"], sizes)]
    return {
        "prompt_ids": [ids[:size] for ids, size in zip(batch["input_ids"], sizes)],
        "completion_ids": answers,
        "KL_completion_ids": [answers[-1], *answers[:-1]],
        "label": [desirable[index] for index in indices],
    }
