"""Write rows as Parquet shards of the sizes the Hub recommends, under data/<config>/<split>-*.parquet."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES = 32 * 2**20
"""Of text; the Hub's viewer wants at most 100 MB or so."""

SHARD_BYTES = 400 * 2**20
"""Of text, before compression; the Hub recommends files below 500 MB."""

CHUNKS = {"min_chunk_size": 256 * 2**10, "max_chunk_size": 2**20, "norm_level": 0}
"""Bytes of a data page, which ends where its content says so: an inserted row changes the pages around it and no others, and
storage by content (the Hub's Xet) sends only those. The values are those of `datasets` 5.2 (config.DEFAULT_CDC_OPTIONS)."""

_CHUNKED = "content_defined_chunking"
"""Key in the metadata of a file."""


@dataclass
class WrittenSplit:
    """Files and sizes of one split."""

    config: str
    split: str
    num_examples: int = 0
    num_bytes: int = 0
    """In Arrow, summed over row groups as `datasets` does; set by verify_output."""
    files: list[Path] = field(default_factory=list)

    @property
    def download_size(self) -> int:
        return sum(path.stat().st_size for path in self.files)


class SplitWriter:
    """Writes the shards of one split. An empty split gets no file, because `datasets` cannot load one.

    Row groups and shards end at places that depend on the rows alone, not on the batches in which they arrive.
    """

    def __init__(self, folder: Path, config: str, split: str, schema: pa.Schema) -> None:
        self.written = WrittenSplit(config, split)
        self._folder, self._schema = folder / "data" / config, schema
        self._pending: list[pa.Table] = []
        self._pending_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._shard_bytes = 0

    def add(self, table: pa.Table, sizes: list[int]) -> None:
        """Add rows; `sizes` are their bytes."""
        start = 0
        for index, size in enumerate(sizes):
            self._pending_bytes += size
            if self._pending_bytes >= ROW_GROUP_BYTES:
                self._pending.append(table.slice(start, index + 1 - start))
                self._flush()
                start = index + 1
        if start < len(sizes):
            self._pending.append(table.slice(start))

    def _flush(self) -> None:
        # Copied row by row into fresh buffers: slices keep offsets that would show in the file.
        group = pa.concat_tables(self._pending).combine_chunks()
        writer = self._writer
        if writer is None or self._shard_bytes + self._pending_bytes > SHARD_BYTES:
            writer = self._open()
        writer.write_table(group, row_group_size=group.num_rows)
        self._shard_bytes += self._pending_bytes
        self.written.num_examples += group.num_rows
        self._pending, self._pending_bytes = [], 0

    def _open(self) -> pq.ParquetWriter:
        if self._writer is not None:
            self._writer.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self.written.split}-{len(self.written.files):05d}.parquet"
        self._writer = open_writer(path, self._schema)
        self._shard_bytes = 0
        self.written.files.append(path)
        return self._writer

    def close(self) -> WrittenSplit:
        if self._pending:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        total = len(self.written.files)
        self.written.files = [
            path.rename(path.with_name(f"{self.written.split}-{number:05d}-of-{total:05d}.parquet"))
            for number, path in enumerate(self.written.files)
        ]
        return self.written


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer of one shard, with the settings that every shard of a dataset has.

    Args:
        schema: also that of an earlier shard, with what its file says of itself.
    """
    metadata = {key: value for key, value in (schema.metadata or {}).items() if key != _CHUNKED.encode()}
    schema = schema.with_metadata(metadata or None)
    writer = pq.ParquetWriter(
        path, schema, compression="zstd", write_page_index=True, use_content_defined_chunking=CHUNKS
    )
    # As `datasets` marks such files: the Hub shows them as optimized Parquet.
    writer.add_key_value_metadata({_CHUNKED: json.dumps(CHUNKS)})
    return writer
