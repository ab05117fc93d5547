"""Recorded answers with a label → the config `unpaired`, one row an answer, for KTO.

An answer of a successful episode is desirable; a refused one and one of an unsuccessful episode are not, with or without a
partner on the same page. Left out, with a ledger row: an undesirable answer that makes the calls of a successful episode after
the same actions on the same pages, or that is over the answer's token budget. Counterfactuals are in the pairs only.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from agentmerge_hub.dataset.parallel import part_cache
from agentmerge_hub.dataset.parquet_writer import SplitWriter, WrittenSplit
from agentmerge_hub.dataset.preferences.recorded_answers import FAILED_EPISODE, PlacedSample, answers_by_page
from agentmerge_hub.dataset.preferences.rejected import REFUSED_ANSWER
from agentmerge_hub.dataset.selection.drop_rules import Dropped
from agentmerge_hub.dataset.selection.split import split_names
from agentmerge_hub.files.content_hash import short_id
from agentmerge_hub.records import UNPAIRED_SCHEMA

CONFIG = "unpaired"
SUCCESSFUL_EPISODE = "successful_episode"

ORIGINS = {
    SUCCESSFUL_EPISODE: "desirable: an answer of a successful episode",
    FAILED_EPISODE: "undesirable: an answer of an unsuccessful episode",
    REFUSED_ANSWER: "undesirable: an answer that could not be parsed, so that the agent was prompted again",
}
"""Origin of an answer → its label and what it is."""


def write_unpaired(
    samples: Sequence[tuple[PlacedSample, str]], folder: Path, max_answer_tokens: int
) -> tuple[list[WrittenSplit], list[Dropped]]:
    """Write the labeled answers of the kept samples.

    Args:
        samples: kept samples with their splits, sorted.
        folder: of the dataset.
        max_answer_tokens: budget of an answer.

    Returns:
        the written splits, and what was left out.
    """
    accepted, _ = answers_by_page(samples)
    writers = {
        split: SplitWriter(folder, CONFIG, split, UNPAIRED_SCHEMA)
        for split in split_names(split for _, split in samples)
    }
    dropped: list[Dropped] = []
    for part, group in groupby(samples, key=lambda pair: pair[0].part):
        table = part_cache.table(part, "samples")
        for sample, split in group:
            row = table.slice(sample.position, 1).to_pylist()[0]
            kept = []
            for answer in _answers(row):
                if rule := _drop_rule(answer, row, accepted[row["page_key"]], max_answer_tokens):
                    detail = f"{answer['origin']} {answer['sample_id']}"
                    dropped.append(Dropped(sample.source, sample.episode_id, sample.step, rule, detail))
                else:
                    kept.append(answer)
            if kept:
                writers[split].add(pa.Table.from_pylist(kept, UNPAIRED_SCHEMA), [row["n_bytes"]] * len(kept))
    return [writer.close() for writer in writers.values()], dropped


def _answers(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The answer of a sample, then the answers that were refused before it."""
    metadata = {name: row[name] for name in UNPAIRED_SCHEMA.names if name in row}
    origin = SUCCESSFUL_EPISODE if row["success"] else FAILED_EPISODE
    yield metadata | {"label": row["success"], "origin": origin}
    refused = [answer for answer in row["rejected"] or () if answer["origin"] == REFUSED_ANSWER]
    for number, answer in enumerate(refused):
        name = f"{row['sample_id']}/{number}/{REFUSED_ANSWER}"
        yield metadata | {
            "completion": [{"role": "assistant", "content": answer["answer"]}],
            "label": False,
            "origin": REFUSED_ANSWER,
            "sample_id": short_id(name),
            "action": answer["action"],
            "n_completion_tokens": answer["n_tokens"],
        }


def _drop_rule(answer: dict[str, Any], row: dict[str, Any], accepted: set[str], max_answer_tokens: int) -> str:
    if answer["n_completion_tokens"] > max_answer_tokens:
        return "answer_too_long"
    return "answer_accepted" if answer["origin"] == FAILED_EPISODE and row["calls_key"] in accepted else ""
