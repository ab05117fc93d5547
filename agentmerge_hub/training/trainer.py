"""TRL's trainer for a run: whole rows whose labels are set, float32 weights, frozen parameters, a loss without prompts."""

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl import SFTTrainer, get_peft_config, get_quantization_config

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import head, special_tokens, student
from agentmerge_hub.training.arguments import Run


class _Trainer(SFTTrainer):
    def create_model_card(self, *_args: object, **_kwargs: object) -> None:
        """Nothing: the run writes its own card, at its end."""


def new_trainer(
    asked: Run, tokenizer: PreTrainedTokenizerBase, dataset: Dataset, callbacks: list[TrainerCallback]
) -> SFTTrainer:
    """TRL's trainer for rows that `rows.tokenize` made; `asked.config` is settled on the way.

    Raises:
        UserError: if there is no such model.
    """
    config = asked.config
    config.save_strategy = "no"  # the cadence is counted in samples
    config.pad_token = None  # the tokenizer has it
    config.completion_only_loss = False  # the labels say it already
    config.max_length = config.max_length if config.packing else None  # nothing is cut: the rows were checked
    config.model_init_kwargs = {
        "revision": asked.model.model_revision,
        "attn_implementation": asked.model.attn_implementation,
        "dtype": asked.model.dtype,
    } | (config.model_init_kwargs or {})
    try:
        trainer = _Trainer(
            model=asked.model.model_name_or_path,
            args=config,
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=get_peft_config(asked.model),
            quantization_config=get_quantization_config(asked.model),
            callbacks=callbacks,
        )
    except OSError as error:
        raise UserError(
            f"no model at {asked.model.model_name_or_path!r}: no such folder, and not a Hub id within reach"
        ) from error
    plain = trainer.model.get_base_model() if asked.model.use_peft else trainer.model
    begin(plain, tokenizer, asked)
    student.freeze(trainer.model, asked.own.freeze)
    if config.device.type == "cpu":
        head.only_trained_positions(plain)
    return trainer


def begin(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, asked: Run) -> None:
    """Change the weights a run begins with as it asks: the rows of tokens that only the instruct model has trained."""
    if asked.own.instruct_rows:
        source = asked.own.tokenizer_name_or_path or asked.model.model_name_or_path
        special_tokens.begin_as(source, model, tokenizer, asked.own.instruct_rows)
