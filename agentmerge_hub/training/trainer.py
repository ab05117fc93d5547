"""TRL's trainer for a run: rows that are tokenized already, float32 weights, frozen parameters, a loss without prompts."""

import contextlib
from collections.abc import Iterator
from typing import Any

from accelerate.utils import extract_model_from_parallel
from datasets import Dataset
from peft import PeftModel
from transformers import (
    EarlyStoppingCallback,
    GenerationConfig,
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
from agentmerge_hub.training import (
    activation_checkpointing,
    attention_kernel,
    completion_loss,
    frozen_weights,
    model_loading,
    output_layer,
    packs,
    special_tokens,
)
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.batches_by_length import BatchesByLength
from agentmerge_hub.training.checkpoint_weights import CheckpointWeights
from agentmerge_hub.training.divergence import DivergenceCallback
from agentmerge_hub.training.preflight.batches import count_batches
from agentmerge_hub.training.preflight.token_counts import row_lengths
from agentmerge_hub.training.preflight.trl_options import evaluates

_SAMPLING = ("temperature", "top_k", "top_p", "top_h", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")
_ROUTER_LOSS = ("output_router_logits", "router_aux_loss_coef")


class _Trainer(CheckpointWeights, BatchesByLength, SFTTrainer):
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
    with refusals_as_sentences():
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
    model = base_model(trainer)
    # A CPU computes most losses from the model's own logits.
    if sft.device.type != "cpu" or model.base_model is not model:
        with trainer.accelerator.autocast():
            output_layer.check(model, dataset["input_ids"][0])
    restore_configuration(trainer, config)
    initialize_weights(model, tokenizer, config)
    model_loading.freeze(trained_model(trainer), config.options.freeze)
    if sft.packing or sft.padding_free or sft.eval_packing:
        packs.check(model, dataset["input_ids"][:2])
    frozen_weights.store_in_bfloat16(trained_model(trainer), config)
    activation_checkpointing.leave_out_upper_layers(model, config)
    if sft.device.type == "cpu":
        completion_loss.skip_prompt_logits(model)
    else:
        lengths = row_lengths(dataset).tolist()
        batches = count_batches(len(lengths), len(lengths), sft).steps(sft) * sft.gradient_accumulation_steps
        attention_kernel.choose(lengths, batches, int(sft.pad_to_multiple_of or 1))
    return trainer


@contextlib.contextmanager
def refusals_as_sentences() -> Iterator[None]:
    """TRL and transformers check their settings when a trainer is made.

    Raises:
        UserError: for a value that they refuse, or a package that is missing.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        raise UserError(f"TRL refuses the settings: {' '.join(str(error).split())}") from error


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
    if "logging_nan_inf_filter" not in config.explicit:
        sft.logging_nan_inf_filter = False  # the log says it, and no step waits for the GPU to compare its loss
    callbacks = [*callbacks, _StopTokens(tokenizer), DivergenceCallback(config.model_name)]
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
        special_tokens.init_embedding_rows(
            config.tokenizer_name, model, tokenizer, config.options.instruct_rows, config.tokenizer_revision
        )


def restore_configuration(trainer: CheckpointWeights, config: RunConfig) -> None:
    """Undo what transformers and TRL change in the configurations that are saved: use_cache is set to False, loading with
    model_init_kwargs puts the keys of the model's configuration into the generation configuration too, and the keys of a
    router's loss are set as the run needs them."""
    model = base_model(trainer)
    loaded: Any = model_loading.load_config(config.model_name, config.model.model_revision)
    for key in set(config.config_overrides) - set(GenerationConfig().to_dict()):
        if hasattr(model.generation_config, key):
            delattr(model.generation_config, key)
    if hasattr(loaded, "use_cache"):
        model.config.use_cache = loaded.use_cache
    elif hasattr(model.config, "use_cache"):
        del model.config.use_cache
    text = loaded.get_text_config()
    trainer.saved_config = {key: getattr(text, key) for key in _ROUTER_LOSS if hasattr(text, key)}


def set_stop_token(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make the model's configuration and generation configuration name the tokenizer's special tokens.

    Sampling values of a generation configuration that does not sample are removed: transformers ignores them, and would
    refuse to save them.
    """
    generation = model.generation_config
    if generation is not None and not generation.do_sample:
        for name in _SAMPLING:
            if getattr(generation, name, None) is not None:
                setattr(generation, name, None)
    for settings in (model.config, model.config.get_text_config(), model.generation_config):
        if settings is not None:
            settings.eos_token_id, settings.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
            if tokenizer.bos_token_id is not None:
                settings.bos_token_id = tokenizer.bos_token_id
