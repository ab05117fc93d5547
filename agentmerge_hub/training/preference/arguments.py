"""The settings of a preference run: TRL's DPOConfig, and what the shared code of a run reads beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from trl import DPOConfig

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunConfig, parse_args

_REFUSED = {
    "instruct_rows": "a preference run starts from a trained model, whose special tokens are trained",
    "replay_dataset": "general instructions have no rejected answers",
}


@dataclass
class PreferenceConfig(DPOConfig):
    """TRL's DPOConfig, and the model that the reference log-probabilities come from."""

    reference_model: str | None = field(
        default=None,
        metadata={"help": "Model whose log-probabilities are the reference, e.g. the merge; the model itself, before training, if not set."},
    )  # fmt: skip

    # Settings of SFTConfig that the shared code of a run reads: DPO has one value for each, so they are no options.
    packing: ClassVar[bool] = False
    packing_strategy: ClassVar[str] = "bfd"
    eval_packing: ClassVar[None] = None
    completion_only_loss: ClassVar[None] = None
    assistant_only_loss: ClassVar[bool] = False
    chat_template_path: ClassVar[None] = None
    eos_token: ClassVar[None] = None
    dataset_kwargs: ClassVar[None] = None
    dataset_text_field: ClassVar[str] = "text"

    @property
    def loads_reference(self) -> bool:
        """Whether a second model is in memory during full fine-tuning."""
        return not self.precompute_ref_log_probs


def parse_preference_args(args: Sequence[str] | None = None) -> RunConfig:
    """Parse ``--config recipe.yaml --key value …`` (the process's own arguments if None).

    Raises:
        UserError: as `arguments.parse_args`, or for an option that a preference run cannot apply.
    """
    config = parse_args(args, PreferenceConfig)
    for option, reason in _REFUSED.items():
        if getattr(config.options, option):
            raise UserError(f"{option} cannot be applied: {reason}; remove it")
    if config.sft.padding_free:
        raise UserError("padding_free cannot be applied: TRL's DPO trainer does not have it at present; remove it")
    if getattr(config.sft, "reference_model", None) and config.peft:
        raise UserError(
            "reference_model cannot be applied with LoRA: the reference is the model without its adapter; remove it"
        )
    return config
