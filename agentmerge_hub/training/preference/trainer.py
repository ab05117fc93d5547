"""TRL's DPO trainer for a run: pairs that are tokenized already, float32 weights, frozen parameters."""

from typing import Any

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase, TrainerCallback
from trl import DPOTrainer, get_quantization_config

from agentmerge_hub.training import model_loading
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.preflight.trl_options import evaluates
from agentmerge_hub.training.trainer import prepare, trained_model


class _Trainer(DPOTrainer):
    def create_model_card(self, *_args: object, **_kwargs: object) -> None:
        """Nothing: the run writes its own card at its end."""

    def _prepare_dataset(self, dataset: Any, *_args: object, **_kwargs: object) -> Any:
        """The dataset as it is: `pairs.tokenize` rendered, checked and tokenized it."""
        return dataset


def new_trainer(
    config: RunConfig,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    callbacks: list[TrainerCallback],
    save_strategy: str = "no",
    held_out: Dataset | None = None,
) -> DPOTrainer:
    """TRL's trainer for pairs that `pairs.tokenize` made; takes what `training.trainer.new_trainer` takes.

    Raises:
        UserError: if there is no such model or reference model.
    """
    settings: Any = config.sft
    callbacks = prepare(config, tokenizer, callbacks, save_strategy)
    settings.max_length = None  # nothing is cut: the pairs were checked
    reference = None
    if settings.reference_model:
        model_loading.load_config(settings.reference_model)
        reference = AutoModelForCausalLM.from_pretrained(settings.reference_model, dtype=config.model.dtype)
    columns = ["prompt_ids", "chosen_ids", "rejected_ids"]
    trainer = _Trainer(
        model=config.model_name,
        ref_model=reference,
        args=settings,
        train_dataset=dataset.select_columns(columns),
        eval_dataset=held_out.select_columns(columns) if held_out is not None and evaluates(config) else None,
        processing_class=tokenizer,
        peft_config=config.peft,
        quantization_config=get_quantization_config(config.model),
        callbacks=callbacks,
    )
    model_loading.freeze(trained_model(trainer), config.options.freeze)
    return trainer
