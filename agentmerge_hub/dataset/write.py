"""Write rows as Parquet shards of the sizes the Hub recommends, under data/<config>/<split>-*.parquet."""

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES = 32 * 2**20
"""Uncompressed; the Hub's viewer wants at most 100 MB or so."""

SHARD_BYTES = 400 * 2**20
"""Uncompressed; the Hub recommends files below 500 MB."""


@dataclass
class Written:
    """Figures of one split, as `datasets` counts them."""

    config: str
    split: str
    num_examples: int = 0
    num_bytes: int = 0
    """In Arrow, row group by row group, which is how `datasets` reads the files."""
    files: list[Path] = field(default_factory=list)

    @property
    def download_size(self) -> int:
        return sum(path.stat().st_size for path in self.files)


class SplitWriter:
    """Writes the shards of one split; an empty split gets no file, for `datasets` cannot load one."""

    def __init__(self, folder: Path, config: str, split: str, schema: pa.Schema) -> None:
        self.written = Written(config, split)
        self._folder, self._schema = folder / "data" / config, schema
        self._folder.mkdir(parents=True, exist_ok=True)
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._shard_bytes = 0

    def add(self, table: pa.Table) -> None:
        if table.num_rows == 0:
            return
        self._waiting.append(table)
        self._waiting_bytes += table.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        group = pa.concat_tables(self._waiting).combine_chunks()
        if self._writer is None or self._shard_bytes + group.nbytes > SHARD_BYTES:
            self._open()
        self._writer.write_table(group, row_group_size=group.num_rows)
        self._shard_bytes += group.nbytes
        self.written.num_examples += group.num_rows
        self.written.num_bytes += group.nbytes
        self._waiting, self._waiting_bytes = [], 0

    def _open(self) -> None:
        if self._writer is not None:
            self._writer.close()
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
