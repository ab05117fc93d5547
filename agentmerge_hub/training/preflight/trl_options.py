"""Options of TRL and transformers that a run cannot apply: refused here, so that none is silently without effect."""

from dataclasses import fields
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunArguments, RunConfig
from agentmerge_hub.training.preflight.number_ranges import check_numbers
from agentmerge_hub.training.preflight.option_effects import APPLIED, CONDITIONAL, REFUSED

OWN = frozenset({field.name for field in fields(RunArguments)} | {"method", "reference_model"})
"""Options of this package."""
_OF_MODEL = {
    "revision": "model_revision",
    "dtype": "dtype",
    "torch_dtype": "dtype",
    "quantization_config": "load_in_4bit",
}
_RESUMED = "a resumed run would see other rows than an uninterrupted one"
_ACCELERATOR: dict[str, tuple[bool, str]] = {
    "split_batches": (False, "per_device_train_batch_size is counted"),
    "even_batches": (True, "processes without a batch would wait for the others forever"),
    "dispatch_batches": (False, _RESUMED),
    "use_seedable_sampler": (True, _RESUMED),
}
"""Key of accelerator_config → the value that it may have, and why no other."""


def check_options(config: RunConfig) -> None:
    """Refuse what a run cannot apply.

    Raises:
        UserError: names the option and why it has no place here.
    """
    settings: list[Any] = [config.sft, config.model, config.script]
    for option, (accepted, reason) in REFUSED.items():
        value = next((getattr(each, option) for each in settings if hasattr(each, option)), accepted)
        value = getattr(value, "value", value)
        if value not in (accepted, {}, ""):
            raise UserError(f"{option} is {value!r} and cannot be applied: {reason}; remove it")
    for option in sorted(config.explicit & {field.name for each in settings for field in fields(each)}):
        if option not in known_options():
            raise UserError(
                f"{option} is an option of the installed TRL or transformers whose effect in a run is not known to this version "
                "of agentmerge_hub: remove it"
            )
    for key in config.sft.model_init_kwargs or {}:
        if key in _OF_MODEL:
            raise UserError(
                f"model_init_kwargs sets {key}: set {_OF_MODEL[key]} instead, which holds for every stage of the run"
            )
    if "every_n_layers" in (config.sft.gradient_checkpointing_kwargs or {}):
        raise UserError(
            "activation_checkpointing_kwargs sets every_n_layers: set recomputed_layers instead, which preflight's memory counts"
        )
    _check_conditions(config)
    check_numbers(config)
    if config.options.early_stopping_patience and not config.sft.load_best_model_at_end:
        raise UserError("early_stopping_patience needs load_best_model_at_end: true, which says what is better")
    if (config.model.load_in_4bit or config.model.load_in_8bit) and not config.peft:
        raise UserError(
            "load_in_4bit and load_in_8bit quantize the weights, which cannot be trained then: set use_peft"
        )
    if config.sft.eval_packing and config.sft.max_length is None:
        raise UserError("eval_packing needs max_length, the length of a pack")
    if config.sft.label_smoothing_factor and getattr(config.sft, "loss_type", "nll") != "nll":
        raise UserError(
            f"label_smoothing_factor cannot be applied with loss_type {config.sft.loss_type}: TRL smooths nll only; remove one"
        )
    if getattr(config.sft, "activation_offloading", False) and config.sft.device.type == "cpu":
        raise UserError("activation_offloading moves activations from a GPU to the CPU and there is no GPU: remove it")
    if config.sft.fp16 and config.sft.device.type == "cpu" and not config.is_planned_elsewhere:
        raise UserError("fp16 is set and has no effect on a CPU: set fp16 to false, or train on a GPU")
    _check_rows_of_a_step(config)


def _check_rows_of_a_step(config: RunConfig) -> None:
    """Refuse what draws other rows than those that are counted, or others in a resumed run than in an uninterrupted one."""
    settings: Any = config.sft.accelerator_config
    for key, (accepted, reason) in _ACCELERATOR.items():
        if bool(value := getattr(settings, key, accepted)) is not accepted:
            raise UserError(f"accelerator_config sets {key} to {value} and cannot be applied: {reason}; remove it")
    if config.sft.train_sampling_strategy == "batch_rebalance":
        raise UserError(
            "train_sampling_strategy is batch_rebalance and cannot be applied: transformers draws its rows by a seed of its own, whatever "
            "seed is set, and repeats rows to fill the last step; set it to group_by_length"
        )


def _check_conditions(config: RunConfig) -> None:
    """Refuse options that have an effect only with another one, which is not set."""
    sft: Any = config.sft
    losses = sft.loss_type if isinstance(sft.loss_type, list) else [sft.loss_type]
    schedule = _value(sft.lr_scheduler_type)
    best = sft.load_best_model_at_end or _value(sft.save_strategy) == "best" or schedule == "reduce_lr_on_plateau"
    holds = {
        "eval_strategy": evaluates(config),
        "load_best_model_at_end": best,
        "use_peft": config.model.use_peft,
        "load_in_4bit": config.model.load_in_4bit,
        "dataloader_num_workers": sft.dataloader_num_workers > 0,
        "packing": sft.packing or bool(sft.eval_packing),
        "activation_checkpointing": sft.gradient_checkpointing,
        "use_liger_kernel": sft.use_liger_kernel,
        "precompute_ref_log_probs": getattr(sft, "precompute_ref_log_probs", False),
        "loss_type exo_pair, robust, aot or aot_unpaired": bool(
            {"exo_pair", "robust", "aot", "aot_unpaired"} & set(losses)
        ),
        "loss_type discopop": "discopop" in losses,
        "f_divergence_type alpha_divergence": _value(getattr(sft, "f_divergence_type", "")) == "alpha_divergence",
        "replay_dataset": bool(config.options.replay_dataset),
    }
    own = {"replay_dataset": ("replay_ratio",), "activation_checkpointing": ("recomputed_layers",)}
    for condition, options in (*CONDITIONAL.items(), *own.items()):
        without_effect = [option for option in options if option in config.explicit]
        if without_effect and not holds[condition]:
            raise UserError(
                f"{without_effect[0]} has no effect without {condition}: set {condition}, or remove {without_effect[0]}"
            )
    if best and (metric := sft.metric_for_best_model) not in (None, "loss", "eval_loss"):
        raise UserError(
            f"metric_for_best_model is {metric!r}: set it to eval_loss, as the evaluation computes the loss only"
        )
    if best and sft.greater_is_better:
        raise UserError("greater_is_better is true and the metric is a loss, of which the lowest is best: remove it")
    if sft.assistant_only_loss and sft.completion_only_loss is False:
        raise UserError(
            "assistant_only_loss and completion_only_loss: false contradict each other: the first excludes prompts from the loss, the "
            "second includes them; remove one"
        )
    if (
        "warmup_steps" in config.explicit
        and sft.warmup_steps
        and schedule in ("constant", "reduce_lr_on_plateau", "greedy")
    ):
        raise UserError(
            f"warmup_steps has no effect with lr_scheduler_type {schedule}: set constant_with_warmup, or remove warmup_steps"
        )
    if sft.lr_scheduler_kwargs and schedule in ("constant", "constant_with_warmup"):
        raise UserError(f"lr_scheduler_kwargs has no effect with lr_scheduler_type {schedule}: remove it")


def _value(setting: Any) -> str:
    """The text of a setting that transformers may have turned into an enumeration."""
    return str(getattr(setting, "value", setting))


def known_options() -> frozenset[str]:
    """Names of the options whose effect is known."""
    return APPLIED | OWN | REFUSED.keys() | {option for options in CONDITIONAL.values() for option in options}


def evaluates(config: RunConfig) -> bool:
    """Whether the run computes a held-out loss."""
    return _value(config.sft.eval_strategy) != "no" or config.sft.eval_on_start
