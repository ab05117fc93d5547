"""What differs between supervised fine-tuning and preference optimization. Everything else of a run is in `finetune`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, Trainer

from agentmerge_hub.chat_template import ChatTemplate
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.checkpoints import Scorer


@dataclass(frozen=True)
class Method:
    """One way of training."""

    stage: str
    """In the manifest."""
    answers: tuple[str, ...]
    """Columns with answers, the expert's first; each is one assistant turn after ``prompt``."""
    tokenize: Callable[[Dataset, PreTrainedTokenizerBase, ChatTemplate, RunConfig], Dataset]
    """Rows → what the trainer takes. ``input_ids`` and ``labels`` hold every token of a row that the model sees, for preflight."""
    longest: Callable[[Dataset], int]
    """Tokens of the longest sequence among tokenized rows."""
    new_trainer: Callable[..., Any]
    """Takes the arguments of `trainer.new_trainer`."""
    new_scorer: Callable[["Method", RunConfig, PreTrainedTokenizerBase, ChatTemplate, Trainer], Scorer | None]
    """What is scored at each checkpoint; None for nothing."""
