"""The settings of a preference run: TRL's DPOConfig or KTOConfig, and what the shared code of a run reads beside it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import yaml
from trl import DPOConfig, KTOConfig

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import RunConfig, given_options, parse_args

_REFUSED = {
    "instruct_rows": "a preference run starts from a trained model, whose special tokens are trained",
    "replay_dataset": "general instructions have no rejected answers",
}
_METHOD_HELP = "dpo: pairs of a chosen and a rejected answer; kto: single answers with a label, desirable or not."
_REFERENCE_HELP = (
    "Model whose log-probabilities are the reference, e.g. the merge; the model itself, before training, if not set."
)


class _Fixed:
    """Settings of SFTConfig that the shared code of a run reads: DPO and KTO have one value for each, so they are no options."""

    packing: ClassVar[bool] = False
    packing_strategy: ClassVar[str] = "bfd"
    eval_packing: ClassVar[None] = None
    completion_only_loss: ClassVar[None] = None
    assistant_only_loss: ClassVar[bool] = False
    chat_template_path: ClassVar[None] = None
    eos_token: ClassVar[None] = None
    dataset_kwargs: ClassVar[None] = None
    dataset_text_field: ClassVar[str] = "text"
    truncation_mode: ClassVar[str] = "keep_start"
    padding_free: ClassVar[bool] = False
    precompute_ref_log_probs: bool

    @property
    def loads_reference(self) -> bool:
        """Whether a second model is in memory during full fine-tuning."""
        return not self.precompute_ref_log_probs


@dataclass
class PairConfig(DPOConfig, _Fixed):
    """TRL's DPOConfig, and the model that the reference log-probabilities come from."""

    method: str = field(default="dpo", metadata={"help": _METHOD_HELP})
    reference_model: str | None = field(default=None, metadata={"help": _REFERENCE_HELP})


@dataclass
class LabelConfig(KTOConfig, _Fixed):
    """TRL's KTOConfig, and the model that the reference log-probabilities come from."""

    method: str = field(default="kto", metadata={"help": _METHOD_HELP})
    reference_model: str | None = field(default=None, metadata={"help": _REFERENCE_HELP})

    pad_token: ClassVar[None] = None


_CONFIGS = {"dpo": PairConfig, "kto": LabelConfig}


def parse_preference_args(args: Sequence[str] | None = None) -> RunConfig:
    """Parse ``--config recipe.yaml --key value …`` (the process's own arguments if None).

    Raises:
        UserError: as `arguments.parse_args`, or for an option that a preference run cannot apply.
    """
    args = list(sys.argv[1:] if args is None else args)
    config = parse_args(args, _CONFIGS[_method(args)])
    for option, reason in _REFUSED.items():
        if getattr(config.options, option):
            raise UserError(f"{option} cannot be applied: {reason}; remove it")
    if config.sft.padding_free:
        raise UserError("padding_free cannot be applied: TRL's DPO trainer does not have it at present; remove it")
    if config.sft.train_sampling_strategy == "group_by_length":
        raise UserError(
            "train_sampling_strategy group_by_length cannot be applied: transformers takes the lengths of single sequences, and a row "
            "of a preference run has several; remove it"
        )
    if getattr(config.sft, "reference_model", None) and config.peft:
        raise UserError(
            "reference_model cannot be applied with LoRA: the reference is the model without its adapter; remove it"
        )
    return config


def _method(args: Sequence[str]) -> str:
    """The method that the recipe or the command line names. Mistakes in the recipe are left to `parse_args`."""
    try:
        name = str(given_options(args).get("method", "dpo"))
    except (OSError, yaml.YAMLError):
        return "dpo"
    if name not in _CONFIGS:
        raise UserError(f"method is {name!r}: set it to dpo or kto")
    return name
