"""Parquet files whose pages end by content: the same rows give the same bytes, and an inserted row leaves most pages."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.dataset.parquet_writer import SplitWriter

SCHEMA = pa.schema([("prompt", pa.string()), ("seed", pa.int64())])
_PAGE = b"\x28\xb5\x2f\xfd"
"""Start of a zstd frame, which every compressed page is."""


def write(folder: Path, rows: list[dict]) -> bytes:
    writer = SplitWriter(folder, "all", "train", SCHEMA)
    for start in range(0, len(rows), 7):
        batch = rows[start : start + 7]
        writer.add(pa.Table.from_pylist(batch, SCHEMA), [len(row["prompt"]) for row in batch])
    path = writer.close().files[0]
    assert pq.read_table(path).to_pylist() == rows
    return path.read_bytes()


def test_an_inserted_row_leaves_most_pages(tmp_path: Path) -> None:
    rng = random.Random(0)
    rows = [{"prompt": rng.randbytes(2500).hex(), "seed": number} for number in range(2000)]
    before = write(tmp_path / "before", rows)
    assert write(tmp_path / "again", rows) == before
    inserted = {"prompt": rng.randbytes(300).hex(), "seed": -1}
    after = write(tmp_path / "after", [*rows[:700], inserted, *rows[700:]])
    known = set(before.split(_PAGE))
    pages = after.split(_PAGE)
    assert sum(len(page) for page in pages if page in known) > 0.85 * len(after)
    plain = pa.Table.from_pylist(rows, SCHEMA)
    pq.write_table(plain, tmp_path / "plain.parquet", compression="zstd")
    shifted = pa.Table.from_pylist([*rows[:700], inserted, *rows[700:]], SCHEMA)
    pq.write_table(shifted, tmp_path / "shifted.parquet", compression="zstd")
    known = set((tmp_path / "plain.parquet").read_bytes().split(_PAGE))
    pages = (tmp_path / "shifted.parquet").read_bytes().split(_PAGE)
    assert sum(len(page) for page in pages if page in known) < 0.5 * (tmp_path / "shifted.parquet").stat().st_size
