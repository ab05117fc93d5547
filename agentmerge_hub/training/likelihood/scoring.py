"""Expert likelihood: how probable held-out expert answers are under a model, each after the prompt that it answers.

The measure is the mean log-probability of the answer's tokens, its end-of-turn token included, and its exponential, the
geometric mean of their probabilities; also for each span. An answer matches greedily if each of its tokens is the model's
most probable one after the expert's own tokens before it, so that greedy decoding would write it. Nothing is generated.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.tokenizer import encode
from agentmerge_hub.training import model_loading
from agentmerge_hub.training.likelihood.answer_logits import answer_logits
from agentmerge_hub.training.likelihood.answer_spans import SPANS, span_at, spans
from agentmerge_hub.training.likelihood.results import SCHEMA
from agentmerge_hub.training.rows import check_completion, render_row

_ROUNDING, _ROUNDING_BFLOAT16 = 1e-3, 0.05
"""Share of the logits' standard deviation by which they differ at most between batches, in float32 and in bfloat16."""


@dataclass(frozen=True)
class _Sample:
    ids: list[int]
    n_prompt: int
    """Of the token ids, those of the prompt."""
    spans: list[str]
    """The span of each answer token."""


def score(
    model: torch.nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    rows: Dataset,
    split: str,
    batch: int = 8,
    samples_seen: int | None = None,
) -> pa.Table:
    """Score rows; the model returns to the mode (training or evaluation) that it was in.

    The rows are divided over the processes of a distributed launch; every process gets the whole table.

    Args:
        model: any causal language model, wrapped or not.
        tokenizer: the model's.
        template: its chat template.
        rows: prompt/completion chat rows.
        split: its name, for the table.
        batch: rows of a forward pass, in order of length; 1 for a model whose logits padding changes.
        samples_seen: by the model in training, for the table.

    Raises:
        UserError: if a row breaks the rule of `agentmerge_hub.chat_template.rendering`.
    """
    encoded = [_encode(index, row, tokenizer, template) for index, row in enumerate(rows)]
    plain = model_loading.unwrapped(model)
    model_loading.check_rows(plain, max(len(each.ids) for each in encoded), max(max(each.ids) for each in encoded))
    was_training = model.training
    model.eval()
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index].ids))
    if batch > 1 and _padding_changes(model, encoded[order[0]], encoded[order[-1]]):
        batch = 1
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    rank, processes = PartialState().process_index, PartialState().num_processes
    found: list[tuple[int, dict[str, Any]]] = []
    for first in range(0, len(batches), processes):
        # A process without a batch repeats one, because a sharded model needs all of them in every forward pass.
        chosen = batches[min(first + rank, len(batches) - 1)]
        for index, (logprobs, best) in zip(chosen, _forward(model, [encoded[index] for index in chosen])):
            found.append((index, _figures(logprobs, best, encoded[index].spans)))
    model.train(was_training)
    figures = dict(gather_object(found) if processes > 1 else found)
    records = [
        {key: rows[index].get(key) for key in ("sample_id", "task", "cot")}
        | {"split": split, "samples_seen": samples_seen}
        | figures[index]
        for index in range(len(encoded))
    ]
    return pa.Table.from_pylist(records, SCHEMA)


def _encode(index: int, row: dict, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate) -> _Sample:
    prompt, completion = render_row(index, row["prompt"], row["completion"], template)
    encoding = encode(tokenizer, prompt + completion, return_offsets_mapping=True)
    answer = row["completion"][0]["content"]
    placed = [(begin + len(prompt), end + len(prompt), name) for begin, end, name in spans(answer)]
    ids, offsets = encoding["input_ids"], encoding["offset_mapping"]
    start = encode(tokenizer, prompt)["input_ids"]
    check_completion(index, start, ids, row["completion"], template)
    n_prompt = len(start)
    return _Sample(ids, n_prompt, [span_at(placed, begin, end) for begin, end in offsets[n_prompt:]])


@torch.no_grad()
def _padding_changes(model: torch.nn.Module, short: _Sample, long: _Sample) -> bool:
    """Whether a model takes notice of padding on the left though it is masked, as RWKV and the convolutions of RecurrentGemma
    do. One that takes positions and has no state does not."""
    stateful = getattr(model_loading.unwrapped(model), "_is_stateful", False)
    takes_positions = model_loading.accepted_options(model, position_ids=None)
    if len(short.ids) == len(long.ids) or (takes_positions and not stateful):
        return False
    (alone,) = answer_logits(model, [(short.ids, len(short.spans))])
    _, padded = answer_logits(model, [(sample.ids, len(sample.spans)) for sample in (long, short)])
    narrow = torch.is_autocast_enabled(alone.device.type) or next(model.parameters()).dtype != torch.float32
    return bool((alone - padded).abs().max() > (_ROUNDING_BFLOAT16 if narrow else _ROUNDING) * alone.std())


@torch.no_grad()
def _forward(model: torch.nn.Module, samples: Sequence[_Sample]) -> Iterator[tuple[list[float], list[bool]]]:
    """For each sample the log-probability of its answer's tokens, and whether each was the most probable."""
    pairs = [(sample.ids, len(sample.spans)) for sample in samples]
    for sample, answer in zip(samples, answer_logits(model, pairs)):
        expected = torch.tensor(sample.ids[sample.n_prompt :], device=answer.device)
        logprobs = answer.log_softmax(-1).gather(-1, expected[:, None])[:, 0]
        yield logprobs.tolist(), (answer.argmax(-1) == expected).tolist()


def _figures(logprobs: list[float], best: list[bool], names: list[str]) -> dict[str, Any]:
    by_span: dict[str, list[float]] = defaultdict(list)
    for logprob, name in zip(logprobs, names):
        by_span[name].append(logprob)
    mean = sum(logprobs) / len(logprobs)
    action = [hit for hit, name in zip(best, names) if name in ("action_name", "bid", "arguments")]
    figures: dict[str, Any] = {
        "n_tokens": len(logprobs),
        "mean_logprob": mean,
        "geometric_mean_probability": math.exp(mean),
    }
    for span in SPANS:
        figures[f"{span}_logprob"] = sum(by_span[span]) / len(by_span[span]) if by_span[span] else None
        figures[f"{span}_tokens"] = len(by_span[span])
    return figures | {"greedy_match": all(best), "greedy_action_match": bool(action) and all(action)}
