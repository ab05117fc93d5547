"""What a run is going to do, found out before its first step: rows, tokens, steps, memory, disk."""

import hashlib
import math
import os
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl import SFTConfig, pack_dataset

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import capacity, student
from agentmerge_hub.training.arguments import Run
from agentmerge_hub.training.rows import IGNORED


@dataclass(frozen=True)
class Plan:
    """The run in figures."""

    model: str
    rows: int
    replayed: int
    """Of the rows, those of general instructions."""
    tokens: int
    trained_tokens: int
    longest: int
    items: int
    """What batches are made of in an epoch: rows, or packs of several."""
    batch: int
    """Items an optimizer step, over all devices."""
    steps: int
    padding: float
    """Share of the batches' tokens that are padding; 0 where batches are packed or padding-free."""
    parameters: int
    trained_parameters: int
    needs: capacity.Needs
    rows_sha256: str
    """Over the token ids of all rows, in order: says which rows they were wherever the dataset came from."""


def batch(config: SFTConfig) -> int:
    """Items an optimizer step: per device × devices × accumulation."""
    devices = int(os.environ.get("WORLD_SIZE", "1"))
    return config.per_device_train_batch_size * devices * config.gradient_accumulation_steps


def plan(dataset: Dataset, asked: Run, replayed: int = 0) -> Plan:
    """Count what `rows.tokenize` made.

    Raises:
        UserError: for a way of packing that cuts rows, or a model or parameters that are not there.
    """
    config = asked.config
    arrow = dataset.with_format("numpy")
    lengths = np.array([len(ids) for ids in arrow["input_ids"]])
    labels = np.array([int((labels != IGNORED).sum()) for labels in arrow["labels"]])
    items, size = _items(dataset, config), batch(config)
    steps = config.max_steps if config.max_steps > 0 else math.ceil(math.ceil(items / size) * config.num_train_epochs)
    model = student.outline(asked)
    parameters = list(model.parameters())
    together = min(config.per_device_train_batch_size, items)
    largest = (config.max_length if config.packing else int(lengths.max())) * together
    answers = int(labels.max()) * math.ceil(len(lengths) / items) * together
    return Plan(
        model=asked.model.model_name_or_path,
        rows=len(lengths),
        replayed=replayed,
        tokens=int(lengths.sum()),
        trained_tokens=int(labels.sum()),
        longest=int(lengths.max()),
        items=items,
        batch=size,
        steps=steps,
        padding=_padding(lengths, config),
        parameters=sum(each.numel() for each in parameters),
        trained_parameters=sum(each.numel() for each in parameters if each.requires_grad),
        needs=capacity.needs(model, asked, largest, answers, steps, min(size, items) * len(lengths) // items),
        rows_sha256=hashlib.sha256(b"".join(ids.astype("<i4").tobytes() for ids in arrow["input_ids"])).hexdigest(),
    )


def _items(dataset: Dataset, config: SFTConfig) -> int:
    """Rows, or the packs that the trainer will make of them."""
    if not config.packing:
        return len(dataset)
    if config.packing_strategy == "wrapped":
        raise UserError(
            "packing_strategy wrapped cuts rows and mixes them: set it to bfd, which keeps them whole and apart"
        )
    if config.max_length is None:
        raise UserError("packing needs max_length, the length of a pack")
    return len(
        pack_dataset(dataset.select_columns(["input_ids", "labels"]), config.max_length, config.packing_strategy)
    )


def _padding(lengths: np.ndarray, config: SFTConfig) -> float:
    """Of one epoch's batches, drawn as the trainer draws them, from a generator of its own."""
    if config.packing or config.padding_free:
        return 0.0
    size = config.per_device_train_batch_size
    if config.train_sampling_strategy == "group_by_length":
        generator = torch.Generator().manual_seed(config.seed)
        together = size * config.gradient_accumulation_steps
        order = get_length_grouped_indices(lengths.tolist(), together, generator=generator)
    elif config.train_sampling_strategy == "sequential":
        order = range(len(lengths))
    else:
        order = np.random.default_rng(config.seed).permutation(len(lengths))
    ordered = lengths[np.asarray(order)]
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return 1 - lengths.sum() / sum(int(each.max()) * len(each) for each in batches)


def describe(found: Plan) -> str:
    """The plan as a user reads it."""
    replayed = f", {found.replayed} of them replayed" if found.replayed else ""
    packs = f" in {found.items} packs" if found.items != found.rows else ""
    return (
        f"Preflight: {found.rows} rows{replayed}, {found.tokens} tokens{packs}, {found.trained_tokens} of them trained; the "
        f"longest row has {found.longest}; {found.steps} steps of {found.batch} {'packs' if packs else 'samples'}, "
        f"{found.padding:.0%} padding; {found.trained_parameters / 1e6:,.1f}M of {found.parameters / 1e6:,.1f}M parameters "
        f"are trained; about {found.needs.memory / capacity.GB:.1f} GB of memory a process and "
        f"{found.needs.disk / capacity.GB:.1f} GB of disk for {found.needs.checkpoints} checkpoints and the model. Every "
        "completion is whole and ends its turn."
    )
