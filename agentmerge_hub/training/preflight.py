"""What a run is going to do, found out before its first step: rows, tokens, steps, memory."""

import math
import os
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl import SFTConfig

from agentmerge_hub.training import student
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
    """Share of the batches' tokens that are padding; 0 where batches are packed or padding-free."""
    parameters: int
    trained_parameters: int


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
    parameters = list(student.outline(asked).parameters())
    return Plan(
        model=asked.model.model_name_or_path,
        rows=len(lengths),
        tokens=int(lengths.sum()),
        trained_tokens=trained,
        longest=int(lengths.max()),
        batch=size,
        steps=steps,
        padding=_padding(lengths, asked.config),
        parameters=sum(each.numel() for each in parameters),
        trained_parameters=sum(each.numel() for each in parameters if each.requires_grad),
    )


def _padding(lengths: np.ndarray, config: SFTConfig) -> float:
    """Of one epoch's batches, drawn as the trainer draws them, from a generator of its own."""
    if config.packing or config.padding_free:
        return 0.0
    size = config.per_device_train_batch_size
    if config.train_sampling_strategy == "group_by_length":
        generator = torch.Generator().manual_seed(config.seed)
        order = get_length_grouped_indices(
            lengths.tolist(), size * config.gradient_accumulation_steps, generator=generator
        )
    elif config.train_sampling_strategy == "sequential":
        order = range(len(lengths))
    else:
        order = np.random.default_rng(config.seed).permutation(len(lengths))
    ordered = lengths[np.asarray(order)]
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return 1 - lengths.sum() / sum(int(each.max()) * len(each) for each in batches)


def describe(found: Plan, asked: Run) -> str:
    """The plan as a user reads it."""
    return (
        f"Preflight: {found.rows} rows, {found.tokens} tokens, {found.trained_tokens} of them trained; the longest row has "
        f"{found.longest}; {found.steps} steps of {found.batch} samples, {found.padding:.0%} padding; "
        f"{_millions(found.trained_parameters)} of {_millions(found.parameters)} parameters are trained. Every completion "
        "is whole and ends its turn."
    )


def _millions(count: int) -> str:
    return f"{count / 1e6:,.1f}M"
