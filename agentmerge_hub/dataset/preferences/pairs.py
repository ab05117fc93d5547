"""Samples with their rejected answers → the config `preferences`, one row a pair.

An answer is left out if a successful episode made the same calls after the same actions on the same pages, or if it is over the
answer's token budget; the ledger has a row for each.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from agentmerge_hub.dataset.parallel import part_cache
from agentmerge_hub.dataset.parquet_writer import SplitWriter, WrittenSplit
from agentmerge_hub.dataset.preferences import counterfactuals
from agentmerge_hub.dataset.preferences.recorded_answers import FAILED_EPISODE, PlacedSample, Rejected, answers_by_page
from agentmerge_hub.dataset.preferences.rejected import REFUSED_ANSWER
from agentmerge_hub.dataset.selection.drop_rules import Dropped
from agentmerge_hub.dataset.selection.split import split_names
from agentmerge_hub.files.content_hash import short_id
from agentmerge_hub.records import PREFERENCE_SCHEMA, SAMPLE_SCHEMA

CONFIG = "preferences"

ORIGINS = {
    FAILED_EPISODE: "an unsuccessful episode of the same task and seed, at the step where it parts from the successful one",
    REFUSED_ANSWER: "an answer of the same step that could not be parsed, so that the agent was prompted again",
} | counterfactuals.ORIGINS
"""Origin of a rejected answer → what it is."""

_COLUMNS = [name for name in PREFERENCE_SCHEMA.names if name in SAMPLE_SCHEMA.names]
"""Columns that a pair takes over from its sample."""


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
    accepted, failed = answers_by_page(samples)
    splits = split_names(split for _, split in samples)
    writers = {split: SplitWriter(folder, CONFIG, split, PREFERENCE_SCHEMA) for split in splits}
    dropped: list[Dropped] = []
    for part, group in groupby(samples, key=lambda pair: pair[0].part):
        table = part_cache.table(part, "samples")
        for sample, split in group:
            if not sample.success:
                continue
            row = table.slice(sample.position, 1).to_pylist()[0]
            page = row["page_key"], row["cot"]
            own = [Rejected(**one) for one in row["rejected"]]
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


def _drop_rule(rejected: Rejected, accepted: set[str], max_answer_tokens: int) -> str:
    if rejected.n_tokens > max_answer_tokens:
        return "pair_too_long"
    same_action_is_worse = rejected.origin in (REFUSED_ANSWER, counterfactuals.MISSING_THOUGHT)
    return "pair_accepted" if rejected.calls_key in accepted and not same_action_is_worse else ""


def _pair(row: dict[str, Any], rejected: Rejected, number: int) -> dict[str, Any]:
    name = f"{row['sample_id']}/{number}/{rejected.origin}"
    return {column: row[column] for column in _COLUMNS} | {
        "chosen": row["completion"],
        "rejected": [{"role": "assistant", "content": rejected.answer}],
        "pair_id": short_id(name),
        "origin": rejected.origin,
        "rejected_action": rejected.action,
        "n_chosen_tokens": row["n_completion_tokens"],
        "n_rejected_tokens": rejected.n_tokens,
    }
