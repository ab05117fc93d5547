"""Answers of kept samples by page: what successful episodes did there, and what unsuccessful ones did."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Protocol

from agentmerge_hub.dataset.parallel import part_cache

FAILED_EPISODE = "failed_episode"
"""Origin of an answer of an unsuccessful episode."""


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


class Rejected(NamedTuple):
    """An answer that is worse than a successful one, and where it comes from."""

    origin: str
    action: str
    answer: str
    calls_key: str
    n_tokens: int


def answers_by_page(
    samples: Sequence[tuple[PlacedSample, str]],
) -> tuple[dict[str, set[str]], dict[tuple[str, bool], list[Rejected]]]:
    """By page: the calls of successful episodes; and the answers of unsuccessful ones, one for each calls."""
    accepted: dict[str, set[str]] = defaultdict(set)
    failed: dict[tuple[str, bool], dict[str, Rejected]] = defaultdict(dict)
    columns = ["page_key", "calls_key", "cot", "action", "completion", "n_completion_tokens"]
    for part, group in groupby(samples, key=lambda pair: pair[0].part):
        table = part_cache.table(part, "samples").select(columns)
        for sample, _ in group:
            row = table.slice(sample.position, 1).to_pylist()[0]
            if sample.success:
                accepted[row["page_key"]].add(row["calls_key"])
                continue
            answer = row["completion"][0]["content"]
            rejected = Rejected(FAILED_EPISODE, row["action"], answer, row["calls_key"], row["n_completion_tokens"])
            failed[row["page_key"], row["cot"]].setdefault(row["calls_key"], rejected)
    return accepted, {page: list(answers.values()) for page, answers in failed.items()}
