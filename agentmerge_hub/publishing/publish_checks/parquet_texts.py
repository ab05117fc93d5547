"""Parquet files → every text in them: values of every type, names, and all metadata."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from agentmerge_hub.errors import UserError
from agentmerge_hub.files.parquet_reading import readable
from agentmerge_hub.publishing.publish_checks.encodings import texts_in_bytes, texts_of_codes
from agentmerge_hub.publishing.publish_checks.png_texts import png_texts
from agentmerge_hub.publishing.publish_checks.text_extraction import LONG_NUMBER, Content, Text
from agentmerge_hub.traces.observation.png import SIGNATURE

_ROWS = 1024
_LISTS = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
_STRINGS = (types.is_string, types.is_large_string, types.is_string_view)
_BYTES = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
_NO_TEXT = (types.is_null, types.is_boolean, types.is_temporal)
_NUMBERS = (types.is_integer, types.is_floating, types.is_decimal)
_ARROW_SCHEMA = b"ARROW:schema"
"""A copy of the schema, which is read from the schema itself."""
_LONGEST_KEY = 24
"""Characters of a key that a message shows: a longer one may be the secret."""


def parquet_texts(name: str, content: Content) -> Iterator[Text]:
    """Every text of a Parquet file; a value that a column holds many times comes once per batch.

    Raises:
        UserError: if it is damaged, has a column of an unknown type, or bytes that are no picture.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content) if isinstance(content, bytes) else content)
        yield Text(f"{name}'s metadata", file.metadata.created_by or "")
        yield from _metadata(name, file.metadata.metadata)
        yield from _metadata(name, file.schema_arrow.metadata)
        for field in file.schema_arrow:
            yield from _schema(name, field)
        for data in _outside_of_columns(file, content):
            yield from (Text(f"{name}, outside of its columns", text) for text in texts_in_bytes(data))
        no_pictures: set[str] = set()
        for batch in file.iter_batches(_ROWS):
            for field, column in zip(batch.schema, batch.columns):
                no_pictures |= {field.name for values in _binary(column) if not _are_pictures(values)}
                for path, values in _values(column, field.name):
                    yield from (Text(f"{name}, column {path}", value) for value in values if value)
    except (ValueError, KeyError, OSError, pa.ArrowException) as error:
        raise UserError(f"{name} is damaged: {' '.join(str(error).split())[:200]}") from error
    if no_pictures:
        columns = ", ".join(sorted(no_pictures))
        raise UserError(
            f"{name} holds bytes that are no pictures, which are not published: remove the columns {columns}"
        )


def _outside_of_columns(file: pq.ParquetFile, content: Content) -> Iterator[bytes]:
    """The bytes of a file that belong to no column: its footer, which has the smallest and largest values, and any gap."""
    spans = [(0, 0)]
    for group in range(file.metadata.num_row_groups):
        row_group = file.metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            start = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)))
            spans.append((start, start + column.total_compressed_size))
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as raw:
        end = 0
        for start, stop in [*sorted(spans), (None, 0)]:
            raw.seek(end)
            if start is None or start > end:
                yield raw.read(-1 if start is None else start - end)
            end = max(end, stop)


def _metadata(name: str, metadata: dict[bytes, bytes] | None) -> Iterator[Text]:
    for key, value in (metadata or {}).items():
        if key != _ARROW_SCHEMA:
            shown = key.decode(errors="replace")
            where = f"{name}'s schema ({shown})" if len(shown) <= _LONGEST_KEY else f"{name}'s schema"
            yield from (Text(where, text) for data in (key, value) for text in texts_in_bytes(data))


def _schema(name: str, field: pa.Field) -> Iterator[Text]:
    yield Text(f"{name}'s column names", field.name)
    yield from _metadata(name, field.metadata)
    for index in range(field.type.num_fields):
        yield from _schema(name, field.type.field(index))


def _values(column: pa.Array, path: str) -> Iterator[tuple[str, list[str]]]:
    """Paths and distinct texts of a column of any type."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        yield from _values(column.storage, path)
    elif types.is_dictionary(kind):
        yield from _values(column.dictionary, path)
    elif types.is_run_end_encoded(kind):
        yield from _values(column.values, path)
    elif types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _values(column.field(index), f"{path}.{kind.field(index).name}")
    elif types.is_map(kind):
        yield from _values(column.keys, path)
        yield from _values(column.items, path)
    elif any(is_list(kind) for is_list in _LISTS):
        if any(is_number(kind.value_type) for is_number in _NUMBERS):
            yield path, [_from_codes(row) for row in column.to_pylist() if row]
        yield from _values(column.flatten(), path)
    elif any(is_string(kind) for is_string in _STRINGS):
        yield path, column.cast(pa.large_string()).unique().to_pylist()
    elif any(is_bytes(kind) for is_bytes in _BYTES):
        distinct = column.cast(pa.large_binary()).unique().to_pylist()
        yield path, [text for value in distinct if value for text in _texts_of_bytes(path, value)]
    elif any(is_number(kind) for is_number in _NUMBERS):
        numbers = [value for value in column.unique().to_pylist() if value is not None]
        yield path, list(texts_of_codes(value for value in column.to_pylist() if value is not None))
        yield path, [f'"{path}": "{value}"' for value in numbers if abs(value) >= LONG_NUMBER]
    elif not any(without_text(kind) for without_text in _NO_TEXT):
        raise UserError(f"column {path} has the type {kind}, which is not published")


def _texts_of_bytes(path: str, value: bytes) -> Iterator[str]:
    if value.startswith(SIGNATURE):
        yield from (text.text for text in png_texts(f"a picture in the column {path}", value))
    else:
        yield from texts_in_bytes(value)


def count_pictures(paths: Iterable[Path]) -> int:
    """Number of values of binary columns of Parquet files, which hold pictures.

    Raises:
        UserError: if a file is damaged.
    """
    n = 0
    for path in paths:
        with readable(path):
            file = pq.ParquetFile(path)
            columns = [field.name for field in file.schema_arrow if _has_bytes(field.type)]
            for batch in file.iter_batches(_ROWS, columns=columns) if columns else ():
                n += sum(len(values) - values.null_count for column in batch.columns for values in _binary(column))
    return n


def _has_bytes(kind: pa.DataType) -> bool:
    inner = (_has_bytes(kind.field(index).type) for index in range(kind.num_fields))
    return any(is_bytes(kind) for is_bytes in _BYTES) or any(inner)


def _binary(column: pa.Array) -> Iterator[pa.Array]:
    if types.is_struct(column.type):
        for inner in column.flatten():
            yield from _binary(inner)
    elif any(is_list(column.type) for is_list in _LISTS):
        yield from _binary(column.flatten())
    elif any(is_bytes(column.type) for is_bytes in _BYTES):
        yield column


def _are_pictures(values: pa.Array) -> bool:
    starts = pc.starts_with(values.cast(pa.large_binary()), pattern=SIGNATURE)
    return bool(pc.all(starts, min_count=0).as_py())


def _from_codes(codes: list[float | None]) -> str:
    """Numbers as the characters that they may stand for."""
    return "".join(chr(int(code)) for code in codes if code and 0 < code < 0xD800)
