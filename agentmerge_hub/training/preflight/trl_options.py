"""Options of TRL and transformers that a run cannot apply: refused here, so that none is silently without effect."""

from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunConfig

_TOKENIZED = "rows are rendered and tokenized by this package, whole"
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
    "push_to_hub": (False, "`agentmerge push` publishes a model after its checks"),
    "trust_remote_code": (False, "only models whose code is in transformers are loaded"),
    "do_predict": (False, "there is nothing to predict: `agentmerge likelihood` scores a model"),
    "bf16_full_eval": (False, "transformers ignores it during training; bf16 covers evaluation"),
    "fp16_full_eval": (False, "transformers ignores it during training; fp16 covers evaluation"),
    "lora_task_type": ("CAUSAL_LM", "only causal language models are trained"),
}
"""Option → the value that it may have, and why no other."""

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
    if config.options.early_stopping_patience and not config.sft.load_best_model_at_end:
        raise UserError("early_stopping_patience needs load_best_model_at_end: true, which says what is better")
    if config.sft.eval_packing and config.sft.max_length is None:
        raise UserError("eval_packing needs max_length, the length of a pack")


def evaluates(config: RunConfig) -> bool:
    """Whether the run computes a held-out loss."""
    strategy = config.sft.eval_strategy
    return str(getattr(strategy, "value", strategy)) != "no" or config.sft.eval_on_start
