"""Read a Parquet file that another stage wrote, or raise a sentence that says why it cannot be used."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import parquet_reading


def read_table(path: Path, needed: Sequence[str], otherwise: str) -> pa.Table:
    """The table in a file.

    Args:
        path: of the Parquet file.
        needed: columns it must have.
        otherwise: the end of the sentence for a file that lacks one, e.g. ``it is not a table of `agentmerge evaluate```.

    Raises:
        UserError: if it is not Parquet, or a column is absent.
    """
    table = parquet_reading.read_table(path)
    if absent := [name for name in needed if name not in table.column_names]:
        raise UserError(f"{path} has no column {absent[0]!r}: {otherwise}")
    return table
