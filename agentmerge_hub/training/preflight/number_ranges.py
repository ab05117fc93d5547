"""Which numbers an option may have: TRL and transformers take others, and train nothing, another thing, or end in a traceback."""

import math

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunConfig

_COUNTS = (
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "dataset_num_proc",
    "save_total_limit", "max_length", "pad_to_multiple_of", "recomputed_layers",
)  # fmt: skip
_ABOVE_0 = (
    "learning_rate", "num_train_epochs", "logging_steps", "save_steps", "eval_steps", "neftune_noise_alpha", "ddp_timeout",
    "lora_alpha", "beta", "replay_ratio",
)  # fmt: skip
_FROM_0 = (
    "weight_decay", "router_aux_loss_coef", "early_stopping_patience", "likelihood_samples", "seed", "data_seed",
    "dataloader_num_workers", "eval_delay", "desirable_weight", "undesirable_weight",
)  # fmt: skip
_FROM_0_BELOW_1 = ("label_smoothing_factor", "lora_dropout")


def check_numbers(config: RunConfig) -> None:
    """Check the numbers of a run; an option that is not set is skipped.

    Raises:
        UserError: names the option, its value and what it may be.
    """
    for options, lowest, below, words in (
        (_COUNTS, 1, math.inf, "1 or more"),
        (_ABOVE_0, math.ulp(0.0), math.inf, "a number above 0"),
        (_FROM_0, 0, math.inf, "0 or a number above"),
        (_FROM_0_BELOW_1, 0, 1, "0 or a number above, below 1"),
    ):
        for option in options:
            value = _value(config, option)
            if value is not None and not lowest <= value < below:
                raise UserError(f"{option} is {value:g}: set it to {words}")
    if config.sft.max_steps < 1 and config.sft.max_steps != -1:
        raise UserError(
            f"max_steps is {config.sft.max_steps}: set it to 1 or more, or to -1 for num_train_epochs of the rows"
        )
    norm = config.sft.max_grad_norm
    if norm is not None and not norm >= 0:
        raise UserError(f"max_grad_norm is {norm:g}: set it to a number above 0, or to 0 to clip no gradients")


def _value(config: RunConfig, option: str) -> float | None:
    settings = (config.sft, config.model, config.options)
    return next((getattr(each, option) for each in settings if hasattr(each, option)), None)
