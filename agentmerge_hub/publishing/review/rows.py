"""The rows of a dataset that a person reviews: Parquet → rows, each identified by a hash of its content."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.files.parquet_reading import read_row_group, row_groups

REVIEWED_CONFIGS = ("all", "failures", "preferences")
"""Configs with rows of their own: `cot` and `no_cot` repeat rows of `all`, `unpaired` the answers of `preferences`."""


@dataclass(frozen=True)
class RowPlace:
    """Where a row is."""

    path: Path
    group: int
    index: int


@dataclass(frozen=True)
class ReviewRow:
    """One row, without its texts."""

    key: str
    """Hash of the whole row."""
    place: RowPlace
    config: str
    split: str
    task: str
    episode_id: str
    step: int


def row_key(row: dict[str, Any]) -> str:
    """Hash of a row's content: a changed row has another key, so that no decision applies to it."""
    content = json.dumps(row, sort_keys=True, ensure_ascii=False, default=lambda data: hashlib.sha256(data).hexdigest())
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()


def iterate_rows(folder: Path) -> Iterator[tuple[ReviewRow, dict[str, Any]]]:
    """Every row to review with its values, one Parquet row group in memory at a time."""
    for config in REVIEWED_CONFIGS:
        for path in sorted((folder / "data" / config).glob("*.parquet")):
            for group, table in enumerate(row_groups(path)):
                for index, row in enumerate(table.to_pylist()):
                    place = RowPlace(path, group, index)
                    split = path.name.split("-")[0]
                    yield (
                        ReviewRow(row_key(row), place, config, split, row["task"], row["episode_id"], row["step"]),
                        row,
                    )


def read_row(place: RowPlace) -> dict[str, Any]:
    """One row's values."""
    return read_row_group(place.path, place.group).slice(place.index, 1).to_pylist()[0]


def texts_of(row: dict[str, Any]) -> Iterator[str]:
    """Every text of a row, chat turns included."""
    for value in row.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (item if isinstance(item, str) else item["content"] for item in value)


def picture_of(row: dict[str, Any]) -> bytes:
    """The PNG file that a row shows before its prompt; empty if there is none."""
    image = row.get("image") or {}
    return image.get("bytes") or b""
