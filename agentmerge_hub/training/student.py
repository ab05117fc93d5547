"""The student: its tokenizer with the chat template both students share, and its weights in full precision."""

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.arguments import Run


def tokenizer_at(name: str) -> PreTrainedTokenizerBase:
    """A tokenizer with a chat template.

    Raises:
        UserError: if it is not there or has no chat template.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"no tokenizer at {name!r}: no such folder, and not a Hub id within reach") from error
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of {name!r} has no chat template: set tokenizer_name_or_path to the instruct model, whose "
            "tokenizer and template both students use"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_tokenizer(run: Run) -> PreTrainedTokenizerBase:
    """The tokenizer of `tokenizer_name_or_path`, else the model's, with the recipe's end-of-turn and padding tokens.

    Raises:
        UserError: if it is not there, has no chat template, or would train padding as the end of a turn.
    """
    name = run.own.tokenizer_name_or_path or run.model.model_name_or_path
    tokenizer = tokenizer_at(name)
    for option, token in (("eos_token", run.config.eos_token), ("pad_token", run.config.pad_token)):
        if token and token not in tokenizer.get_vocab():
            raise UserError(f"{option} {token!r} is not a token of {name!r}")
    if run.config.eos_token:
        tokenizer.eos_token = run.config.eos_token
    if run.config.pad_token:
        tokenizer.pad_token = run.config.pad_token
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise UserError(
            f"the tokenizer of {name!r} pads with {tokenizer.pad_token!r}, which ends a turn: set pad_token to another, e.g. "
            "<|finetune_right_pad_id|> for Llama 3.1"
        )
    return tokenizer
