"""What differs between supervised fine-tuning and preference optimization. Everything else of a run is in `finetune`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.training.arguments import RunConfig


@dataclass(frozen=True)
class Method:
    """One way of training."""

    stage: str
    """In the manifest."""
    columns: tuple[str, ...]
    """That rows need; each answer is one assistant turn after ``prompt``."""
    expert_rows: Callable[[Dataset], Dataset]
    """The rows with an expert's answer, which is in the column ``completion``."""
    tokenize: Callable[[Dataset, PreTrainedTokenizerBase, ChatTemplate, RunConfig], Dataset]
    """Rows → what the trainer takes. ``input_ids`` and ``labels`` hold every token of a row that the model sees, for preflight."""
    longest: Callable[[Dataset], int]
    """Tokens of the longest sequence among tokenized rows."""
    settings: Callable[[RunConfig], dict[str, Any]]
    """Settings of the method, for the manifest and the card; ``method`` is its name."""
    notes: Callable[[RunConfig, Dataset], list[str]]
    """Sentences to print before the first step, from the settings and the tokenized rows."""
    new_trainer: Callable[..., Any]
    """Takes the arguments of `trainer.new_trainer`."""
    score: Callable[..., pa.Table]
    """Scores held-out rows at each checkpoint; takes the arguments of `likelihood.scoring.score`."""
    score_file: str
    """Name of the Parquet file of a checkpoint's scores."""
