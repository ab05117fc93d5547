"""TRL's DPO and KTO trainers for a run: rows that are tokenized already, float32 weights, frozen parameters."""

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase, Trainer, TrainerCallback
from trl import DPOTrainer, KTOTrainer, get_quantization_config

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import (
    activation_checkpointing,
    attention_kernel,
    frozen_weights,
    model_loading,
    output_layer,
)
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.checkpoint_weights import CheckpointWeights
from agentmerge_hub.training.completion_loss import skip_prompt_logits
from agentmerge_hub.training.preference import labeled, pairs
from agentmerge_hub.training.preflight.trl_options import evaluates
from agentmerge_hub.training.trainer import (
    base_model,
    prepare,
    refusals_as_sentences,
    restore_configuration,
    trained_model,
)


class _TokenizedRows:
    """The run writes its own card at its end, and its rows are rendered, checked and tokenized before."""

    def create_model_card(self, *_args: object, **_kwargs: object) -> None:
        """Nothing."""

    def _prepare_dataset(self, dataset: Any, *_args: object, **_kwargs: object) -> Any:
        """The dataset as it is."""
        return dataset


class _DPOTrainer(_TokenizedRows, CheckpointWeights, DPOTrainer):
    pass


class _KTOTrainer(_TokenizedRows, CheckpointWeights, KTOTrainer):
    pass


def new_dpo_trainer(*args: Any, **kwargs: Any) -> Trainer:
    """TRL's trainer for pairs that `pairs.tokenize` made; takes what `training.trainer.new_trainer` takes."""
    return _new_trainer(_DPOTrainer, pairs.TRAINED, *args, **kwargs)


def new_kto_trainer(*args: Any, **kwargs: Any) -> Trainer:
    """TRL's trainer for rows that `labeled.tokenize` made; takes what `training.trainer.new_trainer` takes."""
    return _new_trainer(_KTOTrainer, labeled.TRAINED, *args, **kwargs)


def _new_trainer(
    trainer_class: Any,
    columns: Sequence[str],
    config: RunConfig,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    callbacks: list[TrainerCallback],
    save_strategy: str = "no",
    held_out: Dataset | None = None,
) -> Trainer:
    """The trainer.

    Args:
        trainer_class: one of the two above.
        columns: of the tokenized rows, those that it reads.

    Raises:
        UserError: if there is no such model or reference model, or TRL refuses the settings.
    """
    settings: Any = config.sft
    callbacks = prepare(config, tokenizer, callbacks, save_strategy)
    settings.max_length = None  # nothing is cut: the rows were checked
    reference = None
    if settings.reference_model:
        model_loading.load_config(settings.reference_model)
        _check_reference(settings.reference_model, tokenizer)
        reference = AutoModelForCausalLM.from_pretrained(
            settings.reference_model, dtype=config.model.dtype, trust_remote_code=False
        )
    with refusals_as_sentences():
        trainer = trainer_class(
            model=config.model_name,
            ref_model=reference,
            args=settings,
            train_dataset=dataset.select_columns(list(columns)),
            eval_dataset=held_out.select_columns(list(columns)) if held_out is not None and evaluates(config) else None,
            processing_class=tokenizer,
            peft_config=config.peft,
            quantization_config=get_quantization_config(config.model),
            callbacks=callbacks,
        )
    with trainer.accelerator.autocast():
        output_layer.check(base_model(trainer), dataset["input_ids"][0])
    restore_configuration(trainer, config)
    model_loading.freeze(trained_model(trainer), config.options.freeze)
    frozen_weights.store_in_bfloat16(trained_model(trainer), config)
    activation_checkpointing.leave_out_upper_layers(base_model(trainer), config)
    if settings.device.type == "cpu":
        for model in filter(None, (base_model(trainer), trainer.ref_model)):
            skip_prompt_logits(model, by_row=True)
    attention_kernel.disable_cudnn()
    return trainer


def _check_reference(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise UserError if the reference model reads other tokens than the model that is trained."""
    theirs = model_loading.tokenizer_at(name).get_vocab()
    if other := next((token for token, index in tokenizer.get_vocab().items() if theirs.get(token) != index), None):
        raise UserError(
            f"reference_model: the tokenizer of {name} has another id for {other!r} than that of the model, or none, so that its "
            "log-probabilities would be those of other texts: name a model with the same tokenizer"
        )
