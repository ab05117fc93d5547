"""Lengths and contents of tokenized rows, read as Arrow arrays: hundreds of millions of tokens take seconds, and memory for one batch."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from agentmerge_hub.training.rows import IGNORED

_BATCH = 10_000


@dataclass(frozen=True)
class TokenCounts:
    """What a run trains on, in figures."""

    lengths: np.ndarray
    """Tokens of each row."""
    trained: np.ndarray
    """Of these, the ones with a label."""
    largest_id: int
    sha256: str
    """Over the token ids of all rows and then the labels of all rows, as little-endian 32-bit integers; then, of labeled answers,
    over a byte of each row that is 1 for a desirable one."""


def count_tokens(dataset: Dataset) -> TokenCounts:
    """Count the columns ``input_ids`` and ``labels``; and ``label``, if there is one.

    Raises:
        ValueError: if there is no row.
    """
    digest = hashlib.sha256()
    for values in column_batches(dataset, "input_ids"):
        digest.update(_bytes(values))
    trained = []
    for values in column_batches(dataset, "labels"):
        digest.update(_bytes(values))
        has_label = pc.not_equal(values.flatten(), IGNORED).to_numpy(zero_copy_only=False)
        before = np.concatenate([[0], np.cumsum(has_label)])
        ends = np.cumsum(pc.list_value_length(values).to_numpy(zero_copy_only=False))
        trained.append(np.diff(before[np.concatenate([[0], ends])]))
    if "label" in dataset.column_names:
        digest.update(bytes(dataset["label"]))
    return TokenCounts(row_lengths(dataset), np.concatenate(trained), largest_id(dataset), digest.hexdigest())


def row_lengths(dataset: Dataset, column: str = "input_ids") -> np.ndarray:
    """Tokens of each row.

    Raises:
        ValueError: if there is no row.
    """
    return np.concatenate(
        [pc.list_value_length(values).to_numpy(zero_copy_only=False) for values in column_batches(dataset, column)]
    )


def largest_id(dataset: Dataset) -> int:
    """The largest token id of all rows."""
    return max(pc.max(values.flatten()).as_py() or 0 for values in column_batches(dataset, "input_ids"))


def column_batches(dataset: Dataset, column: str) -> Iterator[pa.ListArray]:
    """A column's lists, some thousand rows at a time."""
    for table in dataset.select_columns([column]).with_format("arrow").iter(_BATCH):
        yield table.column(0).combine_chunks()


def _bytes(values: pa.ListArray) -> bytes:
    return values.flatten().to_numpy(zero_copy_only=False).astype("<i4").tobytes()
