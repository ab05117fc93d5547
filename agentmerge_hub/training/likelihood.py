"""Expert likelihood: how probable held-out expert answers are under a model, in the prompt they were given in.

The measure is the mean log-probability of the completion's tokens and its exponential, the geometric mean of their
probabilities; also by span. An answer matches greedily if each of its tokens is the model's most probable one after the
expert's own tokens before it, so that greedy decoding would write it. Nothing is generated.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from agentmerge_hub.training.spans import SPANS, span_at, spans

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("split", pa.string()),
        ("task", pa.string()),
        ("cot", pa.bool_()),
        ("samples_seen", pa.int64()),
        ("n_tokens", pa.int32()),
        ("mean_logprob", pa.float32()),
        ("geometric_mean_probability", pa.float32()),
        *(
            (f"{span}_{figure}", kind)
            for span in SPANS
            for figure, kind in (("logprob", pa.float32()), ("tokens", pa.int32()))
        ),
        ("greedy_match", pa.bool_()),
        ("greedy_action_match", pa.bool_()),
    ]
)
"""One row a sample. `<span>_logprob` is the mean over the span's tokens, null where it has none; `greedy_action_match`
takes the tokens of the action's name, bid and arguments alone, after the expert's own thought."""


def score(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Dataset, split: str, batch: int = 8,
    samples_seen: int | None = None,
) -> pa.Table:  # fmt: skip
    """Score rows; the model is put back into the mode it was in.

    Args:
        model: any causal language model.
        tokenizer: with the chat template the rows are rendered in.
        rows: prompt/completion chat rows.
        split: its name, for the table.
        batch: rows a forward pass, taken in order of length.
        samples_seen: by the model in training, for the table.
    """
    was_training = model.training
    model.eval()
    encoded = [_encode(row, tokenizer) for row in rows]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index][0]))
    records: dict[int, dict] = {}
    for chosen in _chunks(order, batch):
        for index, (logprobs, best) in zip(chosen, _forward(model, tokenizer, [encoded[index] for index in chosen])):
            row = rows[index]
            labels = {"sample_id": row.get("sample_id"), "split": split, "task": row.get("task"), "cot": row.get("cot")}
            records[index] = labels | {"samples_seen": samples_seen} | _figures(logprobs, best, encoded[index][2])
    model.train(was_training)
    return pa.Table.from_pylist([records[index] for index in range(len(encoded))], SCHEMA)


def _encode(row: dict, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], int, list[str]]:
    """Token ids, how many of them are the prompt's, and the span of each completion token."""
    opening = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False)
    encoding = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    answer = row["completion"][-1]["content"].strip()
    start = whole.index(answer, len(opening))
    stretches = [(begin + start, end + start, span) for begin, end, span in spans(answer)]
    ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
    first = next(place for place, (begin, end) in enumerate(offsets) if begin >= len(opening) and end > begin)
    return ids, first, [span_at(stretches, begin, end) for begin, end in offsets[first:]]


@torch.no_grad()
def _forward(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, encoded: Sequence[tuple[list[int], int, list[str]]]
) -> Iterator[tuple[list[float], list[bool]]]:
    """For each sample the log-probability of its completion's tokens, and whether each was the most probable."""
    length = max(len(ids) for ids, _, _ in encoded)
    device = next(model.parameters()).device
    padded = torch.full((len(encoded), length), tokenizer.pad_token_id, device=device)
    mask = torch.zeros_like(padded)
    for row, (ids, _, _) in enumerate(encoded):
        padded[row, : len(ids)] = torch.tensor(ids, device=device)
        mask[row, : len(ids)] = 1
    kept = length - min(first for _, first, _ in encoded) + 1
    logits = model(input_ids=padded, attention_mask=mask, use_cache=False, logits_to_keep=kept).logits
    for row, (ids, first, _) in enumerate(encoded):
        begin = first - 1 - (length - kept)
        here = logits[row, begin : begin + len(ids) - first].float()
        expected = torch.tensor(ids[first:], device=device)
        logprobs = here.log_softmax(-1).gather(-1, expected[:, None])[:, 0]
        yield logprobs.tolist(), (here.argmax(-1) == expected).tolist()


def _figures(logprobs: list[float], best: list[bool], names: list[str]) -> dict:
    by_span: dict[str, list[float]] = defaultdict(list)
    for logprob, name in zip(logprobs, names):
        by_span[name].append(logprob)
    mean = sum(logprobs) / len(logprobs)
    acting = [hit for hit, name in zip(best, names) if name in ("action_name", "bid", "arguments")]
    figures = {"n_tokens": len(logprobs), "mean_logprob": mean, "geometric_mean_probability": math.exp(mean)}
    for span in SPANS:
        figures[f"{span}_logprob"] = sum(by_span[span]) / len(by_span[span]) if by_span[span] else None
        figures[f"{span}_tokens"] = len(by_span[span])
    return figures | {"greedy_match": all(best), "greedy_action_match": bool(acting) and all(acting)}


def _chunks(order: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def write(table: pa.Table, path: Path) -> None:
    """Write the table whole or not at all."""
    beside = path.with_name(f".{path.name}.partial")
    pq.write_table(table, beside)
    beside.replace(path)
