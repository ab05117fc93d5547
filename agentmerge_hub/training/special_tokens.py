"""Special tokens that a base model was never trained on, such as Llama 3.1's header and end-of-turn tokens.

Their rows of the embedding and of the output layer hold what initialization left there, and a fine-tuning at 1e-6 hardly
changes them: the agent may not end its turn, and a merge blends such rows into the instruct model's. They can be copied
from the instruct model before training, and the probability that a model ends its turn is measured.
"""

import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from safetensors import safe_open
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import model_loading

_OF_PEFT = re.compile(r"\.(base_layer|original_module|modules_to_save\.\w+)\b")
"""Parts of a parameter's name in a model with an adapter, which its name in a file does not have."""


@torch.no_grad()
def init_embedding_rows(
    source: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tokens: Sequence[str],
    revision: str | None = None,
) -> None:
    """Copy the rows of `tokens` from another model of the same width into the embedding and the output layer.

    Args:
        source: folder or Hub id of the model that was trained on them; only these two tensors of it are opened.
        model: changed in place, with an adapter or without; on processes that hold no weights yet (``meta``), left as it is.
        tokenizer: of both.
        tokens: whose rows are copied.
        revision: of a source on the Hub.

    Raises:
        UserError: if a token is not in the vocabulary, or `source` has no such rows.
    """
    ids = _ids(tokenizer, tokens)
    embedding, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    names = {
        name: each
        for name, each in model.named_parameters(remove_duplicate=False)
        if each is embedding or each is output
    }
    stored = {name: _OF_PEFT.sub("", name) for name in names}
    embedding_name = next(stored[name] for name, each in names.items() if each is embedding)
    for name, parameter in names.items():
        if parameter.is_meta:
            continue
        if hasattr(parameter, "ds_id"):
            raise UserError("instruct_rows cannot be set under DeepSpeed ZeRO-3, which shards weights: use fsdp.yaml")
        rows = _rows(source, revision, stored[name], embedding_name, ids)
        if rows.shape[1] != parameter.shape[1]:
            raise UserError(
                f"instruct_rows: {source} has rows of {rows.shape[1]} numbers and the model of {parameter.shape[1]}"
            )
        parameter[ids] = rows.to(parameter)


def _ids(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> list[int]:
    vocabulary = tokenizer.get_vocab()
    for token in tokens:
        if token not in vocabulary:
            raise UserError(f"instruct_rows: {token!r} is not a token of {tokenizer.name_or_path}")
    return [vocabulary[token] for token in tokens]


def _rows(source: str, revision: str | None, name: str, embedding: str, ids: Sequence[int]) -> torch.Tensor:
    """Rows of a tensor on disk (tokens, width); of the embedding if the output layer is tied to it and not stored."""
    for path in _files(source, revision, name, embedding):
        with safe_open(path, "pt") as file:
            for candidate in (name, embedding):
                if candidate in file.keys():  # noqa: SIM118 (a handle, no mapping)
                    return torch.cat([file.get_slice(candidate)[index : index + 1] for index in ids])
    raise UserError(f"instruct_rows: {source} has no weights called {name} in safetensors files")


def _files(source: str, revision: str | None, *names: str) -> list[str]:
    """Its safetensors files that hold one of these tensors, the first name's file first."""
    index = None
    with contextlib.suppress(OSError):  # a small model has one file and no index
        index = cached_file(source, "model.safetensors.index.json", revision=revision)
    try:
        if index:
            shards = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
            found = [cached_file(source, shards[name], revision=revision) for name in names if name in shards]
        else:
            found = [cached_file(source, "model.safetensors", revision=revision)]
    except OSError as error:
        raise UserError(
            f"instruct_rows: no weights at {source!r}: no such folder, and no model that can be reached on the Hub"
        ) from error
    return [path for path in found if path]


@torch.no_grad()
def end_of_turn_probability(model: torch.nn.Module, tokenized: Dataset) -> float:
    """Mean probability of the end-of-turn token after an expert's whole answer.

    Args:
        model: returns to the mode that it was in.
        tokenized: rows that `rows.tokenize` made, whose last token ends the turn.
    """
    last = model_loading.accepted_options(model, logits_to_keep=1)
    was_training = model.training
    model.eval()
    device, probabilities = next(model.parameters()).device, []
    for ids in tokenized["input_ids"]:
        logits = model(input_ids=torch.tensor([ids[:-1]], device=device), use_cache=False, **last).logits[0, -1]
        probabilities.append(logits.float().softmax(-1)[ids[-1]].item())
    model.train(was_training)
    return sum(probabilities) / len(probabilities)
