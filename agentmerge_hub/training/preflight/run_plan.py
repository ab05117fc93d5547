"""What a run will do, found out before its first step: rows, tokens, steps, memory, disk."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl import SFTConfig, pack_dataset

from agentmerge_hub.errors import UserError
from agentmerge_hub.plural import counted
from agentmerge_hub.sizes import size_text
from agentmerge_hub.training import model_loading
from agentmerge_hub.training.activation_checkpointing import decoder_layers, recomputed_layers
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.preflight import memory_estimate
from agentmerge_hub.training.preflight.batches import Batches, count_batches
from agentmerge_hub.training.preflight.optimizer import check_optimizer
from agentmerge_hub.training.preflight.save_schedule import SaveSchedule
from agentmerge_hub.training.preflight.token_counts import count_tokens


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
    batches: Batches
    steps: int
    padding: float
    """Share of the batches' tokens that are padding; 0 for packed or padding-free batches."""
    parameters: int
    trained_parameters: int
    needs: memory_estimate.Estimate
    layers: int
    """Decoder layers."""
    recomputed: int
    """Of these, the layers whose activations are computed again in the backward pass."""
    rows_sha256: str
    """Over the token ids and labels of all rows, in order: identifies them wherever the dataset came from."""


def make_plan(
    dataset: Dataset,
    config: RunConfig,
    replayed: int = 0,
    longest: int | None = None,
    held_out: Sequence[tuple[int, int]] = (),
    pad_token_id: int = 0,
) -> Plan:
    """Count what `rows.tokenize` made, and check that the model, the optimizer and the schedule take it.

    Args:
        dataset: the tokenized rows.
        config: the run's settings.
        replayed: of the rows, those of general instructions.
        longest: tokens of the longest sequence, if rows hold several sequences.
        held_out: tokens of the longest row and largest token id of each set of rows that the model is evaluated on.
        pad_token_id: the tokenizer's.

    Raises:
        UserError: for a way of packing that cuts rows, rows that the model cannot take, or a model that does not exist.
    """
    sft = config.sft
    counts = count_tokens(dataset)
    lengths = counts.lengths
    batches = count_batches(len(lengths), _items(dataset, sft), sft)
    steps = batches.steps(sft)
    _check_evaluation(sft, steps)
    model = model_loading.empty_model(config)
    model_loading.check_rows(model, longest or int(lengths.max()), counts.largest_id)
    for held_out_longest, largest_id in held_out:
        model_loading.check_rows(model, held_out_longest, largest_id)
    model_loading.check_padding(model, pad_token_id)
    _check_packing(model, sft)
    _set_router_loss(model, sft)
    check_optimizer(sft, model, steps, config.explicit)
    parameters = list(model.parameters())
    together = min(sft.per_device_train_batch_size, batches.items)
    largest = sft.max_length if sft.packing and sft.max_length else int(lengths.max())
    answers = int(counts.trained.max()) * math.ceil(len(lengths) / batches.items) * together
    checkpoints = SaveSchedule.of(config, batches).count(steps)
    recomputed = recomputed_layers(model, config)
    return Plan(
        model=config.model_name,
        rows=len(lengths),
        replayed=replayed,
        tokens=int(lengths.sum()),
        trained_tokens=int(counts.trained.sum()),
        longest=longest or int(lengths.max()),
        batches=batches,
        steps=steps,
        padding=_padding(lengths, sft),
        parameters=sum(each.numel() for each in parameters),
        trained_parameters=sum(each.numel() for each in parameters if each.requires_grad),
        needs=memory_estimate.estimate(model, config, together, largest, answers, checkpoints, recomputed),
        layers=len(decoder_layers(model)),
        recomputed=recomputed,
        rows_sha256=counts.sha256,
    )


def _check_packing(model: Any, sft: SFTConfig) -> None:
    """Refuse packing for models with a state, such as Mamba's, or a convolution: it would pass from one row to the next."""
    if not (sft.packing or sft.padding_free or sft.eval_packing):
        return
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or ()
    if getattr(model, "_is_stateful", False) or any(
        "attention" not in kind or kind == "linear_attention" for kind in kinds
    ):
        raise UserError(
            f"packing and padding_free cannot be applied to {model.config.model_type}: some of its layers are no attention and "
            "would carry one row's state into the next; remove them"
        )


def _check_evaluation(sft: SFTConfig, steps: int) -> None:
    """Refuse an evaluation that is after the run's last step."""
    if getattr(sft.eval_strategy, "value", sft.eval_strategy) != "steps":
        return
    for option in ("eval_steps", "eval_delay"):
        if (getattr(sft, option) or 0) > steps:
            raise UserError(
                f"{option} is {getattr(sft, option):g} and the run has {counted(steps, 'step')}, so that it would never evaluate: "
                f"lower {option}"
            )


def _set_router_loss(model: Any, sft: SFTConfig) -> None:
    """Leave out the router's loss of a mixture that has no experts, and refuse those whose loss TRL cannot compute."""
    text = model.config.get_text_config()
    dense = getattr(text, "num_local_experts", None) == 0 or getattr(text, "is_moe", None) is False
    if dense and hasattr(sft, "router_aux_loss_coef"):
        sft.router_aux_loss_coef = 0.0
    coefficient = getattr(sft, "router_aux_loss_coef", None)
    if coefficient and not hasattr(text, "output_router_logits"):
        raise UserError(
            f"router_aux_loss_coef has no effect on {model.config.model_type}, which has no router's loss: remove it"
        )
    coefficient = getattr(text, "router_aux_loss_coef", 0.0) if coefficient is None else coefficient
    if hasattr(text, "output_router_logits") and coefficient and not hasattr(text, "num_experts"):
        raise UserError(
            f"TRL cannot compute the router's loss of {model.config.model_type}: set router_aux_loss_coef to 0, which trains "
            "without it"
        )


def _items(dataset: Dataset, sft: SFTConfig) -> int:
    """Rows, or the packs that the trainer will make of them."""
    if not sft.packing:
        return len(dataset)
    if sft.packing_strategy != "bfd":
        raise UserError(
            f"packing_strategy {sft.packing_strategy} cuts rows: set it to bfd, which keeps them whole and apart"
        )
    if sft.max_length is None:
        raise UserError("packing needs max_length, the length of a pack")
    rows = dataset.select_columns(["input_ids", "labels"])
    if sft.shuffle_dataset:  # as the trainer does: which rows are in a pack follows from their order
        rows = rows.shuffle(seed=sft.seed)
    return len(pack_dataset(rows, sft.max_length, sft.packing_strategy))


def _padding(lengths: np.ndarray, sft: SFTConfig) -> float:
    """Of one epoch's batches, drawn as the trainer draws them, from a generator of its own."""
    if sft.packing or sft.padding_free:
        return 0.0
    size = sft.per_device_train_batch_size
    if sft.train_sampling_strategy == "group_by_length":
        generator = torch.Generator().manual_seed(sft.seed)
        together = size * sft.gradient_accumulation_steps
        order = np.array(get_length_grouped_indices(lengths.tolist(), together, generator=generator))
    elif sft.train_sampling_strategy == "sequential":
        order = np.arange(len(lengths))
    else:
        order = np.random.default_rng(sft.seed).permutation(len(lengths))
    ordered = lengths[order]
    batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return 1 - lengths.sum() / sum(int(each.max()) * len(each) for each in batches)


def describe(plan: Plan) -> str:
    """The plan in one paragraph."""
    replayed = f", {plan.replayed} of them replayed" if plan.replayed else ""
    packs = f" in {counted(plan.batches.items, 'pack')}" if plan.batches.items != plan.rows else ""
    dropped, again = plan.batches.items - plan.batches.items_per_epoch, plan.batches.repeated
    item = "pack" if packs else "sample"
    part = 0 < plan.recomputed < plan.layers
    recomputed = f", the activations of {plan.recomputed} of {plan.layers} layers computed again" if part else ""
    return (
        f"Preflight: {counted(plan.rows, 'row')}{replayed}, {counted(plan.tokens, 'token')}{packs}, {plan.trained_tokens:,} of them "
        f"trained; the longest row has {plan.longest:,}; {counted(plan.steps, 'step')} of {counted(plan.batches.batch, item)}, "
        f"{counted(plan.batches.samples_seen(plan.steps), 'sample')} in all"
        + (f" (dataloader_drop_last drops {dropped} an epoch)" if dropped else "")
        + (f" (and {again} an epoch twice, so that every process has a full batch)" if again else "")
        + f", {plan.padding:.0%} padding; {plan.trained_parameters / 1e6:,.1f}M of {plan.parameters / 1e6:,.1f}M parameters "
        f"are trained{recomputed}; about {size_text(plan.needs.memory)} of memory a process and "
        f"{size_text(plan.needs.disk)} of disk for {counted(plan.needs.checkpoints, 'checkpoint')} and the model. Every "
        "completion is whole and ends its turn."
    )
