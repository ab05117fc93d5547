"""Loads a run's tokenizer and chat template, its model without weights, and models to score; freezes parameters."""

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate.utils import extract_model_from_parallel
from huggingface_hub.errors import StrictDataclassError
from peft import PeftMixedModel, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.chat_template.settings import parse_settings
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.folder_kinds import check_model
from agentmerge_hub.hub_names import check_name
from agentmerge_hub.tokenizer import fast_tokenizer
from agentmerge_hub.training import lora_targets
from agentmerge_hub.training.arguments import RunConfig


def tokenizer_at(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """A fast tokenizer, with a padding token if it has an end-of-sequence token.

    Raises:
        UserError: if it does not exist or has no tokenizer.json.
    """
    tokenizer = fast_tokenizer(name, revision)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_tokenizer(config: RunConfig) -> tuple[PreTrainedTokenizerBase, ChatTemplate]:
    """The run's tokenizer, set up as it is saved: the recipe's template, settings, end-of-turn and padding tokens.

    Raises:
        UserError: if it does not exist, its chat template cannot be trained with, or padding would be trained as the end of
            a turn.
    """
    check_model(config.model_name)
    name = config.tokenizer_name
    tokenizer = tokenizer_at(name, config.tokenizer_revision)
    if config.sft.chat_template_path:
        tokenizer.chat_template = _read_template(config.sft.chat_template_path)
    if not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer of {name!r} has no chat template: set tokenizer_name_or_path to the instruct model, whose "
            "tokenizer and template a base model is trained with"
        )
    padding = config.options.padding_token or config.sft.pad_token
    template = ChatTemplate(tokenizer, parse_settings(config.options.chat_template_kwargs))
    _check_tokens(config, tokenizer, template, padding)
    if config.sft.eos_token and config.sft.eos_token != template.end_of_turn:
        raise UserError(
            f"eos_token is {config.sft.eos_token!r} and the chat template ends a turn with {template.end_of_turn!r}, so that the "
            "completion does not end with eos_token and the model would not learn to end its turn: remove eos_token"
        )
    tokenizer.chat_template = template.source
    tokenizer.eos_token = template.end_of_turn
    if padding:
        tokenizer.pad_token = padding
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise UserError(
            f"the tokenizer of {name!r} pads with {tokenizer.pad_token!r}, which ends a turn: set padding_token to another token, "
            "e.g. <|finetune_right_pad_id|> for Llama 3.1"
        )
    return tokenizer, template


def _check_tokens(
    config: RunConfig, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, padding: str | None
) -> None:
    """Raise UserError if the recipe names tokens that the tokenizer does not have: all of them, and what to set."""
    vocabulary, end, own = tokenizer.get_vocab(), template.end_of_turn, tokenizer.pad_token
    other = own not in (None, end)
    advice = {
        "eos_token": f"set eos_token to {end!r}, which ends a turn in its chat template",
        "padding_token": f"remove padding_token, so that {own!r} pads"
        if other
        else "set padding_token to one of its tokens",
        "instruct_rows": "name the special tokens of its chat template in instruct_rows, or remove it",
    }
    named: dict[str, list[Any]] = {
        "eos_token": [config.sft.eos_token],
        "padding_token": [padding],
        "instruct_rows": config.options.instruct_rows,
    }
    unknown = {
        option: [token for token in tokens if token and token not in vocabulary] for option, tokens in named.items()
    }
    wrong = [f"{option} {', '.join(map(repr, tokens))}" for option, tokens in unknown.items() if tokens]
    if wrong:
        what = "is not a token" if sum(map(len, unknown.values())) == 1 else "are no tokens"
        mended = ", ".join(advice[option] for option, tokens in unknown.items() if tokens)
        raise UserError(f"{' and '.join(wrong)} {what} of {config.tokenizer_name!r}: {mended}")


def _read_template(path: str) -> str | dict[str, str]:
    """TRL's chat_template_path: a Jinja file, or the tokenizer whose template is used."""
    if not Path(path).is_file():
        return tokenizer_at(path).chat_template
    return Path(path).read_text(encoding="utf-8")


_INVALID = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError, RuntimeError)
"""What transformers raises for a configuration that no model can be made of, such as one with 0 attention heads."""


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def empty_model(config: RunConfig) -> PreTrainedModel | PeftModel | PeftMixedModel:
    """The model as it will be trained, with adapters and frozen parameters, but without weights (on ``meta``).

    Raises:
        UserError: if there is no such model, it is no causal language model, or `freeze` names no parameter of it.
    """
    model_config: Any = load_config(config.model_name, config.model.model_revision, config.config_overrides)
    if quantized := getattr(model_config, "quantization_config", None):
        method = (
            quantized.get("quant_method") if isinstance(quantized, dict) else getattr(quantized, "quant_method", None)
        )
        raise UserError(
            f"the weights of {config.model_name} are quantized ({getattr(method, 'value', method)}): name the model that they were "
            "made from; load_in_4bit quantizes it for QLoRA"
        )
    given = config.sft.model_init_kwargs
    attention = (given if isinstance(given, dict) else {}).get("attn_implementation", config.model.attn_implementation)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(model_config, attn_implementation=attention)
            if config.peft:
                lora_targets.check_modules_to_save(model, config.peft)
                model = get_peft_model(model, config.peft)
                lora_targets.check_tied_embedding(model)
    except (ImportError, *_INVALID) as error:
        if "ParamWrapper does not work with" in str(error):
            option = "use_dora to false" if "dora" in str(error).lower() else "lora_dropout to 0"
            raise UserError(
                "lora_target_parameters, or experts of a mixture in lora_target_modules, are adapted by PEFT without dropout and DoRA "
                f"only: set {option}"
            ) from error
        if "Unrecognized configuration class" in str(error):
            raise UserError(
                f"{config.model_name} is of the type {model_config.model_type}, of which transformers has no causal language model: "
                "use a decoder of text, or train a vision model with `trl sft`"
            ) from error
        if isinstance(error, ImportError | ValueError):
            raise UserError(f"{config.model_name}: {_first_line(error)}") from error
        raise UserError(
            f"transformers cannot make a model of config.json of {config.model_name}: {_first_line(error)}"
        ) from error
    if config.peft:
        lora_targets.check_forward_passes(model)
        lora_targets.check_saved_names(model)
    freeze(model, config.options.freeze)
    return model


def _check_causal(name: str, settings: Any) -> None:
    """Refuse models with an encoder, that see later tokens, or whose class (which TRL takes) is no language model."""
    if getattr(settings, "is_encoder_decoder", False):
        raise UserError(
            f"{name} has an encoder and a decoder, and only decoders are trained: use a model such as a Llama"
        )
    # BERT and its family attend in both directions unless is_decoder is set; XLNet and XLM always do, GPT-NeoX never does.
    encoder = getattr(settings.get_text_config(), "is_decoder", None) is False
    if (encoder and not settings.model_type.startswith("gpt_neox")) or settings.model_type in ("xlnet", "xlm"):
        raise UserError(
            f"{name} is no causal language model: its attention sees later tokens; use a decoder such as a Llama"
        )
    named = settings.architectures[0]
    if hasattr(transformers, named) and not re.search(r"(ForCausalLM|LMHeadModel|ForConditionalGeneration)$", named):
        raise UserError(
            f"config.json of {name} names the class {named}, which is no causal language model: use the model with its output layer"
        )


def load_config(name: str, revision: str | None = None, overrides: Mapping[str, Any] | None = None) -> AutoConfig:
    """A model's configuration.

    Args:
        name: folder or Hub id.
        revision: of a model on the Hub.
        overrides: keys of the configuration that a run sets otherwise.

    Raises:
        UserError: if there is no such model, it is no causal language model, its configuration is not valid, or it has no
            such key.
    """
    check_model(name)
    check_name(name, "model")
    try:
        loaded, unused = AutoConfig.from_pretrained(
            name, revision=revision or "main", trust_remote_code=False, return_unused_kwargs=True, **(overrides or {})
        )
        if unused:
            raise UserError(
                f"model_init_kwargs sets {', '.join(sorted(unused))}, which the configuration of {name} does not have"
            )
    except StrictDataclassError as error:
        raise UserError(
            f"config.json of {name} is not valid: {' '.join(str(error.__cause__ or error).split())}"
        ) from error
    except (OSError, *_INVALID) as error:
        if "trust_remote_code" in str(error):
            raise UserError(f"{name} needs code of its own, which is never run: use a model of transformers") from error
        if not isinstance(error, OSError) or (Path(name) / "config.json").is_file():
            raise UserError(f"config.json of {name} is not valid: {_first_line(error)}") from error
        raise UserError(f"no model at {name!r}: no such folder, and no model that can be reached on the Hub") from error
    if not loaded.architectures:
        raise UserError(
            f'config.json of {name} has no architectures: add the model\'s class, e.g. "architectures": ["LlamaForCausalLM"]'
        )
    _check_causal(name, loaded)
    return loaded


def load_model(name: str, revision: str | None = None, overrides: Mapping[str, Any] | None = None) -> PreTrainedModel:
    """A causal language model in float32; takes what `load_config` takes.

    Raises:
        UserError: if there is no such model.
    """
    settings = load_config(name, revision, overrides)
    return AutoModelForCausalLM.from_pretrained(
        name, revision=revision or "main", config=settings, dtype=torch.float32, trust_remote_code=False
    )


def unwrapped(model: torch.nn.Module) -> Any:
    """The model behind wrappers of distribution and PEFT."""
    plain = extract_model_from_parallel(model)
    return plain.get_base_model() if isinstance(plain, PeftModel) else plain


def can_be_tried(model: PreTrainedModel) -> bool:
    """Whether a forward pass can be tried before training: not without weights (``meta``, ZeRO-3), nor with FlashAttention,
    which needs bfloat16."""
    weight = model.get_input_embeddings().weight
    return not (weight.is_meta or hasattr(weight, "ds_id") or "flash" in str(model.config._attn_implementation))


def accepted_options(model: torch.nn.Module, **options: Any) -> dict[str, Any]:
    """Those of the options that the model's forward pass takes; not every model knows logits_to_keep or position_ids."""
    known = inspect.signature(type(unwrapped(model)).forward).parameters
    return {name: value for name, value in options.items() if name in known}


def check_rows(model: Any, longest: int, largest_id: int) -> None:
    """Check that a model has the tokens and positions of some rows.

    Args:
        model: a causal language model, without its weights too.
        longest: tokens of the longest row.
        largest_id: largest token id of the rows.

    Raises:
        UserError: if it does not.
    """
    embeddings = model.get_input_embeddings().weight.shape[0]
    if largest_id >= embeddings:
        raise UserError(
            f"the model has {embeddings} embedding rows and the tokenizer gives the token id {largest_id}: use the model's own "
            "tokenizer, or a model whose embedding was resized for this one"
        )
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions and longest > positions:
        raise UserError(
            f"the longest row has {longest} tokens and the model has {positions} positions: build the dataset with a smaller --window"
        )


def check_padding(model: Any, pad_token_id: int) -> None:
    """Check that a model has the padding token, and keeps its row.

    Raises:
        UserError: if it does not.
    """
    embeddings = model.get_input_embeddings().weight.shape[0]
    if pad_token_id >= embeddings:
        raise UserError(
            f"the padding token has the id {pad_token_id} and the model has {embeddings} embedding rows: set padding_token to a "
            "token that the model has"
        )
    text, weight = model.config.get_text_config(), model.get_input_embeddings().weight
    changed = weight.requires_grad or getattr(text, "pad_token_id", None) != pad_token_id
    if changed and getattr(text, "tie_word_embeddings", False) and _clears_loaded_padding(unwrapped(model)):
        raise UserError(
            f"transformers sets the padding token's row to 0 whenever it loads a {model.config.model_type}, whose embedding is its output "
            "layer too, so that the stored model would answer otherwise than the trained one: set freeze to embed_tokens and pad with "
            "the base's own padding token, or train another model"
        )


def _clears_loaded_padding(model: PreTrainedModel) -> bool:
    """Whether the class gives a row of an embedding its initial value after it was loaded, as Youtu's does."""
    base: Any = model.base_model  # which has the embedding
    embedding = torch.nn.Embedding(2, 1, padding_idx=0)
    torch.nn.init.ones_(embedding.weight)
    embedding.weight._is_hf_initialized = True  # type: ignore[attr-defined] # as transformers marks what it loaded
    with torch.no_grad():
        base._init_weights(embedding)
    return not bool(embedding.weight.all())


def freeze(model: torch.nn.Module, patterns: Sequence[str]) -> None:
    """Exclude the parameters whose names match one of the regular expressions from training.

    A parameter with two names, such as an embedding tied to the output layer, is frozen if either matches.

    Raises:
        UserError: for a pattern that is not a regular expression or matches nothing, or if nothing is left to train.
    """
    named = list(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        try:
            matching = [parameter for name, parameter in named if re.search(pattern, name)]
        except re.error as error:
            raise UserError(f"freeze: {pattern!r} is not a regular expression: {error}") from error
        if not matching:
            raise UserError(f"freeze: {pattern!r} matches no parameter: they have names like {named[0][0]!r}")
        for parameter in matching:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"freeze: {', '.join(patterns)} leaves no parameter to train")
