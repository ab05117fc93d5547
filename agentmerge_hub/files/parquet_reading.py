"""Read Parquet files that a user may have damaged: what pyarrow raises becomes one sentence that names the file."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.errors import UserError, os_errors_as_sentences


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises in the block into a UserError.

    Raises:
        UserError: if `path` is absent, damaged or not Parquet, or lacks a column that the block reads.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError) or getattr(error, "errno", None):
            with os_errors_as_sentences(path):
                raise
        reason = str(error).splitlines()[0].rstrip(".: ")
        raise UserError(f"{path} is not readable Parquet ({reason}): restore it, or write it again") from error


def read_table(path: Path, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """The table of a file, as pyarrow.parquet.read_table."""
    with readable(path):
        return pq.read_table(path, columns=columns, filters=filters)


def read_schema(path: Path) -> pa.Schema:
    """The schema of a file."""
    with readable(path):
        return pq.read_schema(path)


def row_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The row groups of a file in order, one in memory at a time."""
    with readable(path):
        file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        with readable(path):
            table = file.read_row_group(group, columns=columns)
        yield table


def read_row_group(path: Path, group: int, columns: Sequence[str] | None = None) -> pa.Table:
    """One row group of a file."""
    with readable(path):
        return pq.ParquetFile(path).read_row_group(group, columns=columns)
