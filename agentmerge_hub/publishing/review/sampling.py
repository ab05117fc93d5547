"""Draw the rows that a person reviews: more likely where the scanners were unsure, and of rare tasks."""

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from math import log, log1p, sqrt
from pathlib import Path

from rich.console import Console
from rich.progress import track

from agentmerge_hub.publishing.review.rows import ReviewRow, iterate_rows, texts_of
from agentmerge_hub.publishing.review.uncertainty import SpotFinder, score


@dataclass(frozen=True)
class Scored:
    """A row and how unsure the scanners were of it."""

    row: ReviewRow
    score: float


def score_rows(folder: Path, finder: SpotFinder) -> list[Scored]:
    """Every row to review with its score, in the order of the files."""
    scored = []
    for row, values in track(iterate_rows(folder), "Reading rows", transient=True, console=Console(stderr=True)):
        lines = [line for text in texts_of(values) for line in text.split("\n")]
        scored.append(Scored(row, score(finder.find(lines))))
    return scored


def draw_sample(rows: list[Scored], size: int, seed: int, first: Collection[str] = ()) -> list[Scored]:
    """`size` rows without replacement, the most likely first; equal rows and seeds give equal samples in any order.

    The weight of a row is (1 + ln(1 + score)) / √(rows of its task). Each row draws the key ln(u) / weight, and the largest
    keys are taken (Efraimidis and Spirakis, 2006).

    Args:
        first: keys of rows that are taken in any case, also beyond `size`.
    """
    of_task = Counter(scored.row.task for scored in rows)

    def key(scored: Scored) -> tuple[bool, float, str]:
        weight = (1 + log1p(scored.score)) / sqrt(of_task[scored.row.task])
        digest = hashlib.sha256(f"{seed}\0{scored.row.key}".encode()).digest()
        uniform = (int.from_bytes(digest[:8]) + 1) / (2**64 + 1)
        return scored.row.key in first, log(uniform) / weight, scored.row.key

    unique = {scored.row.key: scored for scored in rows}
    n_first = sum(name in first for name in unique)
    return sorted(unique.values(), key=key, reverse=True)[: max(size, n_first)]
