"""Scan Parquet and text files for secrets. Nothing is changed here."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from agentmerge_hub.dataset.redaction.finding import FileFinding
from agentmerge_hub.dataset.redaction.private_keys import may_hold_key
from agentmerge_hub.dataset.redaction.scanner import LineScanner, find_secrets
from agentmerge_hub.files.parquet_reading import row_groups


def scan_file(path: Path, scanner: LineScanner | None = None) -> Iterator[FileFinding]:
    """Every secret in a Parquet or text file.

    Args:
        path: the file; text is read as UTF-8.
        scanner: pass the same one for several files that share lines.
    """
    scanner = scanner or LineScanner()
    if path.suffix == ".parquet":
        for table in row_groups(path):
            yield from scan_table(table, path.name, scanner)
    else:
        yield from _scan_texts([path.read_text(encoding="utf-8", errors="replace")], path.name, scanner)


def scan_table(table: pa.Table, location: str, scanner: LineScanner) -> Iterator[FileFinding]:
    """Every secret in the text columns of a table, nested ones too."""
    for name in table.column_names:
        for chunk in table[name].chunks:
            for texts in _string_arrays(chunk):
                values = texts.unique()
                for start in range(0, len(values), 64):
                    batch = [text for text in values.slice(start, 64).to_pylist() if text]
                    yield from _scan_texts(batch, f"{location}, column {name}", scanner)


def _scan_texts(texts: list[str], location: str, scanner: LineScanner) -> Iterator[FileFinding]:
    keys = [finding for text in texts if may_hold_key(text) for finding in find_secrets(text, scanner.allowlist)]
    found = scanner.scan(texts)
    for finding in [*keys, *(finding for line in sorted(found) for finding in found[line])]:
        yield FileFinding(location, finding.kind, hashlib.sha256(finding.value.encode()).hexdigest())


def _string_arrays(array: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        yield array
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        yield from _string_arrays(array.flatten())
    elif pa.types.is_struct(array.type):
        for inner in array.flatten():
            yield from _string_arrays(inner)
