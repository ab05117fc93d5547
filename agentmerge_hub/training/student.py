"""The student: its tokenizer with the chat template both students share, and its weights in full precision."""

import re
from collections.abc import Sequence

import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from trl import get_peft_config

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
    padding = run.own.padding_token or run.config.pad_token
    for option, token in (("eos_token", run.config.eos_token), ("padding_token", padding)):
        if token and token not in tokenizer.get_vocab():
            raise UserError(f"{option} {token!r} is not a token of {name!r}")
    if run.config.eos_token:
        tokenizer.eos_token = run.config.eos_token
    if padding:
        tokenizer.pad_token = padding
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise UserError(
            f"the tokenizer of {name!r} pads with {tokenizer.pad_token!r}, which ends a turn: set padding_token to another, e.g. "
            "<|finetune_right_pad_id|> for Llama 3.1"
        )
    return tokenizer


def outline(run: Run) -> torch.nn.Module:
    """The student as it will be trained, adapters and frozen parameters included, without its weights (on ``meta``).

    Raises:
        UserError: if there is no such model, or `freeze` names no parameter of it.
    """
    name = run.model.model_name_or_path
    try:
        config = AutoConfig.from_pretrained(name, revision=run.model.model_revision)
    except (OSError, ValueError) as error:
        raise UserError(f"no model at {name!r}: no such folder, and not a Hub id within reach") from error
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        if run.model.use_peft:
            model = get_peft_model(model, get_peft_config(run.model))
    freeze(model, run.own.freeze)
    return model


def freeze(model: torch.nn.Module, patterns: Sequence[str]) -> None:
    """Take the parameters whose names match one of the regular expressions out of training.

    A parameter with two names, as an embedding tied to the head, is frozen if either matches.

    Raises:
        UserError: for a pattern that is no regular expression or matches nothing, or if nothing is left to train.
    """
    named = list(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        try:
            found = [parameter for name, parameter in named if re.search(pattern, name)]
        except re.error as error:
            raise UserError(f"freeze: {pattern!r} is not a regular expression: {error}") from error
        if not found:
            raise UserError(f"freeze: {pattern!r} matches no parameter: they are named like {named[0][0]!r}")
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"freeze: {', '.join(patterns)} leaves no parameter to train")
