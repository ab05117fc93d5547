"""Options of TRL and transformers that a run cannot apply: refused here, so that none is silently without effect."""

from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunConfig

_TOKENIZED = "rows are rendered and tokenized by this package, whole"
_PUBLISHED = "`agentmerge push` publishes a model after its checks"
_NO_METRICS = "the evaluation computes the loss only"
_REFUSED: dict[str, tuple[Any, str]] = {
    "dataset_kwargs": (None, _TOKENIZED),
    "dataset_text_field": ("text", "rows have the columns prompt and completion"),
    "truncation_mode": ("keep_start", "no row is ever truncated"),
    "dataset_streaming": (False, "preflight counts and checks all rows before the first step"),
    "ignore_bias_buffers": (False, "TRL reads it in its DPO script only"),
    "resume_from_checkpoint": (None, "the same command resumes from the newest complete checkpoint by itself"),
    "ignore_data_skip": (False, "a resumed run would see other rows than an uninterrupted one"),
    "save_only_model": (False, "a run could not be resumed from such a checkpoint"),
    "auto_find_batch_size": (False, "the batch is part of what identifies a run: set per_device_train_batch_size"),
    "enable_jit_checkpoint": (
        False,
        "such a checkpoint has no manifest and would not be resumed from: lower checkpoint_samples",
    ),
    "push_to_hub": (False, _PUBLISHED),
    "hub_model_id": (None, _PUBLISHED),
    "hub_revision": (None, _PUBLISHED),
    "parallelism_config": (None, "samples are counted for data parallelism only"),
    "include_for_metrics": ([], _NO_METRICS),
    "batch_eval_metrics": (False, _NO_METRICS),
    "trust_remote_code": (False, "only models whose code is in transformers are loaded"),
    "do_predict": (False, "there is nothing to predict: `agentmerge likelihood` scores a model"),
    "bf16_full_eval": (False, "transformers ignores it during training; bf16 covers evaluation"),
    "fp16_full_eval": (False, "transformers ignores it during training; fp16 covers evaluation"),
    "lora_task_type": ("CAUSAL_LM", "only causal language models are trained"),
}
"""Option → the value that it may have, and why no other."""

_EVAL = ("eval_steps", "eval_delay", "eval_packing", "per_device_eval_batch_size", "dataset_test_split", "do_eval")
_LORA = (
    "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_target_parameters", "lora_modules_to_save",
    "use_rslora", "use_dora",
)  # fmt: skip
_QUANTIZATION = ("bnb_4bit_quant_type", "use_bnb_nested_quant", "bnb_4bit_quant_storage")

_OF_MODEL = {
    "revision": "model_revision",
    "dtype": "dtype",
    "torch_dtype": "dtype",
    "quantization_config": "load_in_4bit",
}


def check_options(config: RunConfig) -> None:
    """Refuse what a run cannot apply.

    Raises:
        UserError: names the option and why it has no place here.
    """
    settings = [config.sft, config.model, config.script]
    for option, (accepted, reason) in _REFUSED.items():
        value = next(getattr(each, option) for each in settings if hasattr(each, option))
        if value not in (accepted, {}, ""):
            raise UserError(f"{option} is {value!r} and cannot be applied: {reason}; remove it")
    for key in config.sft.model_init_kwargs or {}:
        if key in _OF_MODEL:
            raise UserError(
                f"model_init_kwargs sets {key}: set {_OF_MODEL[key]} instead, which holds for every stage of the run"
            )
    _check_conditions(config)
    if config.sft.dataset_num_proc is not None and config.sft.dataset_num_proc < 1:
        raise UserError(
            f"dataset_num_proc is {config.sft.dataset_num_proc}: set the number of processes that tokenize, 1 or more"
        )
    if config.options.early_stopping_patience and not config.sft.load_best_model_at_end:
        raise UserError("early_stopping_patience needs load_best_model_at_end: true, which says what is better")
    if config.sft.eval_packing and config.sft.max_length is None:
        raise UserError("eval_packing needs max_length, the length of a pack")
    if config.sft.label_smoothing_factor and getattr(config.sft, "loss_type", "nll") != "nll":
        raise UserError(
            f"label_smoothing_factor cannot be applied with loss_type {config.sft.loss_type}: TRL smooths nll only; remove one"
        )
    if getattr(config.sft, "activation_offloading", False) and config.sft.device.type == "cpu":
        raise UserError("activation_offloading moves activations from a GPU to the CPU and there is no GPU: remove it")
    if getattr(config.sft.accelerator_config, "split_batches", False):
        raise UserError(
            "accelerator_config sets split_batches and cannot be applied: per_device_train_batch_size is counted"
        )


def _check_conditions(config: RunConfig) -> None:
    """Refuse options that have an effect only with another one, which is not set."""
    conditions = {
        "eval_strategy": (_EVAL, evaluates(config)),
        "use_peft": (_LORA, config.model.use_peft),
        "load_in_4bit": (_QUANTIZATION, config.model.load_in_4bit),
        "replay_dataset": (("replay_ratio",), bool(config.options.replay_dataset)),
        "packing": (("packing_strategy",), config.sft.packing or bool(config.sft.eval_packing)),
    }
    for condition, (options, holds) in conditions.items():
        without_effect = [option for option in options if option in config.explicit]
        if without_effect and not holds:
            raise UserError(
                f"{without_effect[0]} has no effect without {condition}: set {condition}, or remove {without_effect[0]}"
            )


def evaluates(config: RunConfig) -> bool:
    """Whether the run computes a held-out loss."""
    strategy = config.sft.eval_strategy
    return str(getattr(strategy, "value", strategy)) != "no" or config.sft.eval_on_start
