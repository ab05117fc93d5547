"""Special tokens that a base model has never seen, such as Llama 3.1's header and end-of-turn tokens.

Their rows of the embedding and of the head hold what initialisation left there, and a fine-tuning at 1e-6 moves them by
next to nothing: the agent may not end its turn, and a merge blends such rows into the instruct model's. They can begin as
the instruct model's rows instead, and whether a model ends its turn is measured.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from safetensors import safe_open
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from agentmerge_hub.errors import UserError
from agentmerge_hub.training.rows import IGNORED


@torch.no_grad()
def begin_as(source: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> None:
    """Copy the rows of `tokens` from another model of the same shape into the embedding and the head.

    Args:
        source: folder or Hub id of the model that has trained them; only these two tensors of it are opened.
        model: changed in place; on processes that hold no weights yet (``meta``), left alone.
        tokenizer: of both.
        tokens: whose rows are copied.

    Raises:
        UserError: if a token is not in the vocabulary, or `source` has no such rows.
    """
    ids = _ids(tokenizer, tokens)
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    names = {
        name: each for name, each in model.named_parameters(remove_duplicate=False) if each is embedding or each is head
    }
    tied = next(name for name, each in names.items() if each is embedding)
    for name, parameter in names.items():
        if parameter.is_meta:
            continue
        if hasattr(parameter, "ds_id"):
            raise UserError("instruct_rows cannot be set under DeepSpeed ZeRO-3, which shards weights: use fsdp.yaml")
        rows = _rows(source, name, tied, ids)
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


def _rows(source: str, name: str, tied: str, ids: Sequence[int]) -> torch.Tensor:
    """Rows of a tensor on disk (tokens, width); of the embedding where the head is tied to it and not stored."""
    for path in _files(source, name, tied):
        with safe_open(path, "pt") as file:
            for candidate in (name, tied):
                if candidate in file.keys():  # noqa: SIM118 (a handle, no mapping)
                    return torch.cat([file.get_slice(candidate)[index : index + 1] for index in ids])
    raise UserError(f"instruct_rows: {source} has no weights called {name} in safetensors files")


def _files(source: str, *names: str) -> list[str]:
    """Its safetensors files that hold one of these tensors, the first name's file first."""

    try:
        index = cached_file(source, "model.safetensors.index.json", _raise_exceptions_for_missing_entries=False)
        if index:
            shards = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
            return [cached_file(source, shards[name]) for name in names if name in shards]
        return [cached_file(source, "model.safetensors")]
    except OSError as error:
        raise UserError(
            f"instruct_rows: no weights at {source!r}: no such folder, and not a Hub id within reach"
        ) from error


@torch.no_grad()
def ends_turn(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tokenized: Dataset) -> float:
    """Mean probability of the end-of-turn token after an expert's whole answer.

    Args:
        model: put back into the mode it was in.
        tokenizer: whose eos token ends a turn.
        tokenized: rows that `rows.tokenize` made.
    """
    was_training = model.training
    model.eval()
    device, probabilities = next(model.parameters()).device, []
    for row in tokenized:
        end = max(
            place for place, (token, label) in enumerate(zip(row["input_ids"], row["labels"]))
            if token == tokenizer.eos_token_id and label != IGNORED
        )  # fmt: skip
        ids = torch.tensor([row["input_ids"][:end]], device=device)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1]
        probabilities.append(logits.float().softmax(-1)[tokenizer.eos_token_id].item())
    model.train(was_training)
    return sum(probabilities) / len(probabilities)
