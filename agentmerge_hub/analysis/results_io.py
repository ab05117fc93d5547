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


def check_types(table: pa.Table, schema: pa.Schema, path: Path) -> None:
    """Raise UserError if a column of the schema holds texts in place of numbers, or numbers in place of texts."""
    for field in schema:
        if field.name not in table.column_names:
            continue
        found = table.schema.field(field.name).type
        kinds = (_is_text, "texts") if pa.types.is_string(field.type) else (_is_number, "numbers")
        if not pa.types.is_null(found) and not kinds[0](found):
            raise UserError(
                f"{path}: the column {field.name!r} holds {found} in place of {kinds[1]}: write it as `agentmerge evaluate` does"
            )


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(plain) or pa.types.is_large_string(plain)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
