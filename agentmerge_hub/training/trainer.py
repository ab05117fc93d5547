"""TRL's trainer for a run: rows that are tokenized already, float32 weights, frozen parameters, a loss without prompts."""

from typing import Any

from accelerate.utils import extract_model_from_parallel
from datasets import Dataset
from peft import PeftModel
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTTrainer, get_quantization_config

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import completion_loss, model_loading, special_tokens
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.preflight.trl_options import evaluates


class _Trainer(SFTTrainer):
    def create_model_card(self, *_args: object, **_kwargs: object) -> None:
        """Nothing: the run writes its own card at its end."""


class _StopTokens(TrainerCallback):
    """Makes every saved configuration name the end-of-turn token that is trained, after transformers aligned its own."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        set_stop_token(extract_model_from_parallel(kwargs["model"]), self.tokenizer)


def new_trainer(
    config: RunConfig,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    callbacks: list[TrainerCallback],
    save_strategy: str = "no",
    held_out: Dataset | None = None,
) -> SFTTrainer:
    """TRL's trainer for rows that `rows.tokenize` made; `config.sft` is adapted to them.

    Args:
        config: the run's settings.
        tokenizer: as `model_loading.load_tokenizer` sets it up.
        dataset: the training rows.
        callbacks: further callbacks.
        save_strategy: TRL's, no if checkpoints are counted in samples.
        held_out: rows of the evaluation loss, if the run evaluates.

    Raises:
        UserError: if there is no such model.
    """
    sft = config.sft
    callbacks = prepare(config, tokenizer, callbacks, save_strategy)
    sft.eos_token = sft.chat_template_path = None  # the tokenizer has them
    sft.completion_only_loss = sft.assistant_only_loss = False  # the labels already exclude the prompt
    sft.max_length = (
        sft.max_length if sft.packing or sft.eval_packing else None
    )  # nothing is cut: the rows were checked
    try:
        trainer = _Trainer(
            model=config.model_name,
            args=sft,
            train_dataset=dataset,
            eval_dataset=held_out if evaluates(config) else None,
            processing_class=tokenizer,
            peft_config=config.peft,
            quantization_config=get_quantization_config(config.model),
            callbacks=callbacks,
        )
    except ValueError as error:  # TRL checks its settings here
        raise UserError(f"TRL refuses the settings: {' '.join(str(error).split())}") from error
    model = base_model(trainer)
    initialize_weights(model, tokenizer, config)
    model_loading.freeze(trained_model(trainer), config.options.freeze)
    if sft.device.type == "cpu":
        completion_loss.skip_prompt_logits(model)
    return trainer


def prepare(
    config: RunConfig, tokenizer: PreTrainedTokenizerBase, callbacks: list[TrainerCallback], save_strategy: str
) -> list[TrainerCallback]:
    """Adapt what all of TRL's trainers share in `config.sft`, and return the callbacks of the run.

    Raises:
        UserError: if there is no such model.
    """
    sft = config.sft
    model_loading.load_config(config.model_name, config.model.model_revision)
    sft.save_strategy = save_strategy
    sft.save_total_limit = None  # CheckpointCallback deletes old checkpoints, after the newer one is complete
    sft.pad_token = None  # the tokenizer has it
    init = {
        "revision": config.model.model_revision,
        "attn_implementation": config.model.attn_implementation,
        "dtype": config.model.dtype,
    }
    given = sft.model_init_kwargs
    sft.model_init_kwargs = init | (given if isinstance(given, dict) else {})
    callbacks = [*callbacks, _StopTokens(tokenizer)]
    if config.options.early_stopping_patience:
        sft.restore_callback_states_from_checkpoint = True
        callbacks.append(EarlyStoppingCallback(config.options.early_stopping_patience))
    return callbacks


def trained_model(trainer: Trainer) -> PreTrainedModel | PeftModel:
    """The trainer's model, with its adapter if it has one."""
    model = trainer.model
    if not isinstance(model, PreTrainedModel | PeftModel):
        raise TypeError(f"TRL's trainer holds a {type(model).__name__}, not a model of transformers or PEFT")
    return model


def base_model(trainer: Trainer) -> PreTrainedModel:
    """The trainer's model without its adapter."""
    model = trained_model(trainer)
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    if not isinstance(base, PreTrainedModel):
        raise TypeError(f"the adapter's base is a {type(base).__name__}, not a model of transformers")
    return base


def initialize_weights(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: RunConfig) -> None:
    """Copy the embedding rows of `instruct_rows` from the instruct model into the model that is trained."""
    if config.options.instruct_rows:
        special_tokens.init_embedding_rows(config.tokenizer_name, model, tokenizer, config.options.instruct_rows)


def set_stop_token(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make the model's configuration and generation configuration name the tokenizer's end-of-turn and padding tokens."""
    for settings in (model.config, model.config.get_text_config(), model.generation_config):
        if settings is not None:
            settings.eos_token_id, settings.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
