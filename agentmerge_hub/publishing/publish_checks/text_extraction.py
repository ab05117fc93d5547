"""Extracts every text of files: table cells, weight headers, image metadata, file names.

Decides nothing: files.py checks the texts.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.errors import UserError

Content = Path | bytes

_PRINTABLE = re.compile(rb"[\x20-\x7e\t]{8,}")
_ROWS = 1024


def texts_of(files: Mapping[str, Content]) -> Iterator[tuple[str, str]]:
    """Pairs of place (for a message) and text. A text that a column holds many times comes once per batch.

    Raises:
        UserError: if the content of a file does not match its type.
    """
    for name, content in files.items():
        yield f"the name of {name}", name
        yield from ((f"{name}{where}", text) for where, text in _texts(name, content) if text)


def _texts(name: str, content: Content) -> Iterator[tuple[str, str]]:
    suffix = Path(name).suffix.lower()
    try:
        if suffix == ".parquet":
            yield from _table(content)
        elif suffix == ".safetensors":
            yield "'s header", json.dumps(_header(content).get("__metadata__", {}))
        elif name.rsplit("/", 1)[-1] == "tokenizer.json":
            yield "", _tokenizer(_bytes(content))
        else:
            data = _bytes(content)
            try:
                yield "", data.decode("utf-8")
            except UnicodeDecodeError:
                yield "", "\n".join(run.decode() for run in _PRINTABLE.findall(data))
    except (ValueError, KeyError, OSError, pa.ArrowException) as error:
        raise UserError(f"{name} is damaged: {' '.join(str(error).split())[:200]}") from error


def _bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _tokenizer(data: bytes) -> str:
    """A tokenizer without vocabulary and merges."""
    tokenizer = json.loads(data)
    if isinstance(tokenizer.get("model"), dict):
        tokenizer["model"] = {k: v for k, v in tokenizer["model"].items() if k not in ("vocab", "merges")}
    return json.dumps(tokenizer, ensure_ascii=False)


def _header(content: Content) -> dict:
    if isinstance(content, bytes):
        return json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    with content.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def _table(content: Content) -> Iterator[tuple[str, str]]:
    table = pq.ParquetFile(pa.BufferReader(content) if isinstance(content, bytes) else content)
    for key, value in (table.schema_arrow.metadata or {}).items():
        yield f"'s schema ({key.decode(errors='replace')})", value.decode(errors="replace")
    for batch in table.iter_batches(_ROWS):
        for field, column in zip(batch.schema, batch.columns):
            for path, strings in _strings(column, field.name):
                yield from ((f", column {path}", text) for text in strings)


def _strings(column: pa.Array, path: str) -> Iterator[tuple[str, list[str]]]:
    """Paths and distinct texts of a column, whatever it is nested in."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _strings(column.dictionary, path)
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _strings(column.field(index), f"{path}.{kind.field(index).name}")
    elif pa.types.is_map(kind):
        yield from _strings(column.keys, path)
        yield from _strings(column.items, path)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _strings(column.flatten(), path)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield path, [text for text in column.unique().to_pylist() if text]
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield path, [value.decode("utf-8", "replace") for value in column.unique().to_pylist() if value]
