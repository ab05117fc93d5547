"""What a run is going to do, found out before its first step: rows, tokens, steps, memory."""

import math
import os
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from trl import SFTConfig

from agentmerge_hub.training.arguments import Run
from agentmerge_hub.training.rows import IGNORED


@dataclass(frozen=True)
class Plan:
    """The run in figures."""

    model: str
    rows: int
    tokens: int
    trained_tokens: int
    longest: int
    batch: int
    """Samples an optimizer step, over all devices."""
    steps: int
    padding: float
    """Share of a random batch's tokens that are padding; 0 where batches are packed or padding-free."""


def batch(config: SFTConfig) -> int:
    """Samples an optimizer step: per device × devices × accumulation."""
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    return config.per_device_train_batch_size * devices * config.gradient_accumulation_steps


def plan(dataset: Dataset, asked: Run) -> Plan:
    """Count what `rows.tokenize` made."""
    arrow = dataset.with_format("numpy")
    lengths = np.array([len(ids) for ids in arrow["input_ids"]])
    trained = sum(int((labels != IGNORED).sum()) for labels in arrow["labels"])
    size = batch(asked.config)
    steps = asked.config.max_steps
    if steps <= 0:
        steps = math.ceil(math.ceil(len(lengths) / size) * asked.config.num_train_epochs)
    return Plan(
        model=asked.model.model_name_or_path,
        rows=len(lengths),
        tokens=int(lengths.sum()),
        trained_tokens=trained,
        longest=int(lengths.max()),
        batch=size,
        steps=steps,
        padding=_padding(lengths, asked.config),
    )


def _padding(lengths: np.ndarray, config: SFTConfig) -> float:
    if config.packing or config.padding_free:
        return 0.0
    order = np.random.default_rng(config.seed).permutation(lengths)
    size = config.per_device_train_batch_size
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return 1 - lengths.sum() / sum(int(each.max()) * len(each) for each in batches)


def describe(found: Plan, asked: Run) -> str:
    """The plan as a user reads it."""
    return (
        f"Preflight: {found.rows} rows, {found.tokens} tokens, {found.trained_tokens} of them trained; the longest row has "
        f"{found.longest}; {found.steps} steps of {found.batch} samples, {found.padding:.0%} padding. Every completion is "
        "whole and ends its turn."
    )
