"""Samples with their rejected answers → the config `preferences`, one row a pair.

An answer is left out if a successful episode made the same calls after the same actions on the same pages, or if it is over the
answer's token budget; the ledger has a row for each.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.dataset import part_cache
from agentmerge_hub.dataset.drop_rules import Dropped
from agentmerge_hub.dataset.parquet_writer import SplitWriter, WrittenSplit
from agentmerge_hub.dataset.preferences import counterfactuals
from agentmerge_hub.dataset.preferences.rejected import REFUSED_ANSWER
from agentmerge_hub.dataset.split import SPLITS
from agentmerge_hub.records import PREFERENCE_SCHEMA, SAMPLE_SCHEMA

CONFIG = "preferences"
FAILED_EPISODE = "failed_episode"

ORIGINS = {
    FAILED_EPISODE: "an unsuccessful episode of the same task and seed, at the step where it parts from the successful one",
    REFUSED_ANSWER: "an answer of the same step that could not be parsed, so that the agent was prompted again",
} | counterfactuals.ORIGINS
"""Origin of a rejected answer → what it is."""

_COLUMNS = [name for name in PREFERENCE_SCHEMA.names if name in SAMPLE_SCHEMA.names]
"""Columns that a pair takes over from its sample."""


class PlacedSample(Protocol):
    """A kept sample: where its row is, and what decides on its pairs."""

    @property
    def source(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def episode_id(self) -> str: ...
    @property
    def success(self) -> bool: ...
    @property
    def part(self) -> Path: ...
    @property
    def position(self) -> int: ...


class _Rejected(NamedTuple):
    origin: str
    action: str
    answer: str
    calls_key: str
    n_tokens: int


def write_pairs(
    samples: Sequence[tuple[PlacedSample, str]],
    folder: Path,
    max_answer_tokens: int,
    excluded: frozenset[str] = frozenset(),
) -> tuple[list[WrittenSplit], list[Dropped]]:
    """Write the pairs of the kept samples.

    Args:
        samples: kept samples with their splits, sorted; unsuccessful ones only give rejected answers.
        folder: of the dataset.
        max_answer_tokens: budget of an answer.
        excluded: ids of pairs to leave out.

    Returns:
        the written splits, and what was left out.
    """
    accepted, failed = _answers_by_page(samples)
    writers = {split: SplitWriter(folder, CONFIG, split, PREFERENCE_SCHEMA) for split in SPLITS}
    dropped: list[Dropped] = []
    for part, group in groupby(samples, key=lambda pair: pair[0].part):
        table = part_cache.table(part, "samples")
        for sample, split in group:
            if not sample.success:
                continue
            row = table.slice(sample.position, 1).to_pylist()[0]
            page = row["page_key"], row["cot"]
            own = [_Rejected(**one) for one in row["rejected"]]
            pairs = []
            for number, rejected in enumerate([*failed.get(page, ()), *own]):
                pair = _pair(row, rejected, number)
                rule = _drop_rule(rejected, accepted[row["page_key"]], max_answer_tokens)
                if rule or pair["pair_id"] in excluded:
                    detail = f"{rejected.origin} {pair['pair_id']}"
                    rule = rule or "pair_excluded"
                    dropped.append(Dropped(sample.source, sample.episode_id, sample.step, rule, detail))
                else:
                    pairs.append(pair)
            if pairs:
                writers[split].add(pa.Table.from_pylist(pairs, PREFERENCE_SCHEMA), [row["n_bytes"]] * len(pairs))
    return [writer.close() for writer in writers.values()], dropped


def _answers_by_page(
    samples: Sequence[tuple[PlacedSample, str]],
) -> tuple[dict[str, set[str]], dict[tuple[str, bool], list[_Rejected]]]:
    """By page: the calls of successful episodes; and the answers of unsuccessful ones, one for each calls."""
    accepted: dict[str, set[str]] = defaultdict(set)
    failed: dict[tuple[str, bool], dict[str, _Rejected]] = defaultdict(dict)
    columns = ["page_key", "calls_key", "cot", "action", "completion", "n_completion_tokens"]
    for part, group in groupby(samples, key=lambda pair: pair[0].part):
        table = part_cache.table(part, "samples").select(columns)
        for sample, _ in group:
            row = table.slice(sample.position, 1).to_pylist()[0]
            if sample.success:
                accepted[row["page_key"]].add(row["calls_key"])
                continue
            answer = row["completion"][0]["content"]
            rejected = _Rejected(FAILED_EPISODE, row["action"], answer, row["calls_key"], row["n_completion_tokens"])
            failed[row["page_key"], row["cot"]].setdefault(row["calls_key"], rejected)
    return accepted, {page: list(answers.values()) for page, answers in failed.items()}


def _drop_rule(rejected: _Rejected, accepted: set[str], max_answer_tokens: int) -> str:
    if rejected.n_tokens > max_answer_tokens:
        return "pair_too_long"
    same_action_is_worse = rejected.origin in (REFUSED_ANSWER, counterfactuals.MISSING_THOUGHT)
    return "pair_accepted" if rejected.calls_key in accepted and not same_action_is_worse else ""


def _pair(row: dict[str, Any], rejected: _Rejected, number: int) -> dict[str, Any]:
    name = f"{row['sample_id']}/{number}/{rejected.origin}"
    return {column: row[column] for column in _COLUMNS} | {
        "chosen": row["completion"],
        "rejected": [{"role": "assistant", "content": rejected.answer}],
        "pair_id": hashlib.sha256(name.encode()).hexdigest()[:16],
        "origin": rejected.origin,
        "rejected_action": rejected.action,
        "n_chosen_tokens": row["n_completion_tokens"],
        "n_rejected_tokens": rejected.n_tokens,
    }


def count_origins(written: Sequence[WrittenSplit]) -> Iterator[tuple[str, int]]:
    """Number of pairs of each origin, over all splits."""
    tables = [pq.read_table(path, columns=["origin"]) for split in written for path in split.files]
    names = pa.concat_tables(tables)["origin"].to_pylist() if tables else []
    yield from ((origin, names.count(origin)) for origin in ORIGINS if origin in names)
