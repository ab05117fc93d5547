"""What a merged model must be able to do before anyone else loads it. A model folder enters; sentences about it leave.

The model that gives the merge its tokenizer (the instruct model) is the measure: same shapes, same vocabulary, same chat
template, and a turn that ends in a token that stops generation.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.checkpoint import config_of, tensors_of
from agentmerge_hub.merging.sources import VOCABULARY_TENSORS, Inputs, vocabulary

GENERATION = "generation_config.json"
_QUESTION = [{"role": "user", "content": "Say hello."}]
_ANSWER = {"role": "assistant", "content": "Hello."}
_REPLY_TOKENS = 16


def findings(folder: Path, inputs: Inputs) -> list[str]:
    """What is wrong with a merged model beside its numbers, a sentence each; empty if nothing is."""
    return [*_shapes(folder, inputs.shapes), *_tokenizer(folder, inputs.donor)]


def _shapes(folder: Path, wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    found = tensors_of(folder)
    wrong = [f"{name} is missing" for name in wanted if name not in found]
    wrong += [f"{name} is in none of its inputs" for name in found if name not in wanted]
    wrong += [
        f"{name} is {list(tensor.shape)}, and should be {list(wanted[name])}"
        for name, tensor in found.items()
        if name in wanted and tensor.shape != wanted[name]
    ]
    embeddings, rows = found.get(VOCABULARY_TENSORS[0]), config_of(folder).get("vocab_size")
    if embeddings is not None and rows != embeddings.shape[0]:
        wrong.append(f"config.json says vocab_size {rows}, the embeddings have {embeddings.shape[0]} rows")
    return wrong


def _tokenizer(folder: Path, donor: Path) -> list[str]:
    from transformers import PreTrainedTokenizerFast

    if vocabulary(folder) != vocabulary(donor):
        return [f"its vocabulary is not that of {donor}"]
    tokenizer, source = (PreTrainedTokenizerFast.from_pretrained(path) for path in (folder, donor))
    if not source.chat_template:
        return [f"{donor}, which gives the tokenizer, has no chat template"]
    if tokenizer.chat_template != source.chat_template:
        return [f"its chat template is not that of {donor}"]
    turn = tokenizer.apply_chat_template([*_QUESTION, _ANSWER], tokenize=False)
    stops = end_tokens(folder, tokenizer)
    if not stops:
        return ["it names no end-of-sequence token"]
    if not any(stop in turn[turn.rindex(_ANSWER["content"]) :] for stop in stops):
        return [f"its turns do not end in a token that stops it: the chat template writes none of {', '.join(stops)}"]
    return []


def end_tokens(folder: Path, tokenizer: Any) -> list[str]:
    """The tokens that stop generation: of generation_config.json, else config.json, else the tokenizer."""
    path = folder / GENERATION
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    ids = config.get("eos_token_id", config_of(folder).get("eos_token_id", tokenizer.eos_token_id))
    ids = ids if isinstance(ids, list) else [ids]
    return [tokenizer.convert_ids_to_tokens(id) for id in ids if id is not None and id < len(tokenizer)]


def reply(folder: Path) -> str:
    """What the model answers to a greeting, at most 16 tokens: proof that it loads and speaks.

    Raises:
        UserError: if it cannot be loaded or run.
    """
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
        inputs = tokenizer.apply_chat_template(
            _QUESTION, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            tokens = model.generate(
                **inputs, max_new_tokens=_REPLY_TOKENS, do_sample=False, temperature=None, top_p=None, top_k=None
            )
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"{folder} cannot answer: {error}") from error
    return tokenizer.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def copy_generation_config(folder: Path, donor: Path) -> bool:
    """Bring the donor's generation_config.json where a merge has none; whether it was copied.

    mergekit writes none when the tokenizer comes from another model, and the model would not know where to stop.
    """
    if (folder / GENERATION).exists() or not (donor / GENERATION).is_file():
        return False
    shutil.copyfile(donor / GENERATION, folder / GENERATION)
    return True
