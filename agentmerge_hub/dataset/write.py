"""Write rows as Parquet shards of the sizes the Hub recommends, under data/<config>/<split>-*.parquet."""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES = 32 * 2**20
"""Of text; the Hub's viewer wants at most 100 MB or so."""

SHARD_BYTES = 400 * 2**20
"""Of text, before compression; the Hub recommends files below 500 MB."""


@dataclass
class Written:
    """One split's files and figures."""

    config: str
    split: str
    num_examples: int = 0
    num_bytes: int = 0
    """In Arrow, row group by row group, which is how `datasets` counts; known once the files have been read back."""
    files: list[Path] = field(default_factory=list)

    @property
    def download_size(self) -> int:
        return sum(path.stat().st_size for path in self.files)


class SplitWriter:
    """Writes the shards of one split; an empty split gets no file, for `datasets` cannot load one.

    Where row groups and shards end depends on the rows alone, not on how they come in.
    """

    def __init__(self, folder: Path, config: str, split: str, schema: pa.Schema) -> None:
        self.written = Written(config, split)
        self._folder, self._schema = folder / "data" / config, schema
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._shard_bytes = 0

    def add(self, table: pa.Table, sizes: list[int]) -> None:
        """Add rows; `sizes` are their bytes."""
        begin = 0
        for place, size in enumerate(sizes):
            self._waiting_bytes += size
            if self._waiting_bytes >= ROW_GROUP_BYTES:
                self._waiting.append(table.slice(begin, place + 1 - begin))
                self._flush()
                begin = place + 1
        if begin < len(sizes):
            self._waiting.append(table.slice(begin))

    def _flush(self) -> None:
        # Copied row by row into fresh buffers: slices keep offsets that would show in the file.
        group = pa.concat_tables(self._waiting).combine_chunks()
        if self._writer is None or self._shard_bytes + self._waiting_bytes > SHARD_BYTES:
            self._open()
        self._writer.write_table(group, row_group_size=group.num_rows)
        self._shard_bytes += self._waiting_bytes
        self.written.num_examples += group.num_rows
        self._waiting, self._waiting_bytes = [], 0

    def _open(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self.written.split}-{len(self.written.files):05d}.parquet"
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_page_index=True)
        self._shard_bytes = 0
        self.written.files.append(path)

    def close(self) -> Written:
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        total = len(self.written.files)
        self.written.files = [
            path.rename(path.with_name(f"{self.written.split}-{number:05d}-of-{total:05d}.parquet"))
            for number, path in enumerate(self.written.files)
        ]
        return self.written
