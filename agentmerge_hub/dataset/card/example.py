"""One published row → its messages, to show in a card as they are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from agentmerge_hub.files.parquet_reading import read_row_group, read_table, row_groups

_MAX_LETTERS = 12_000
"""Longer rows are not shown in a card."""
_CANDIDATES = 20
_UNSUITABLE = re.compile(
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api.?key|credentials?)['\"]?\s*[:=]|(?:^|[\s'\"(=:])(?:/\w[\w.~-]*){2}"
    r"|[A-Za-z]:\\|\\\\|~\w|<!--|\S{200}|[\x00-\x08\x0b-\x1f]",
    re.IGNORECASE,
)
"""Texts that a card cannot hold: its checks take passwords and paths of recorded pages for those of the publisher and refuse control
characters, and words of hundreds of letters are no example."""


@dataclass(frozen=True)
class Turn:
    """One message of an example."""

    column: str
    """``prompt[0]``, ``completion[0]``."""
    role: str
    content: str

    @property
    def fence(self) -> str:
        """Backticks that enclose the content in Markdown."""
        return "`" * max(3, 1 + max(map(len, re.findall(r"`+", self.content)), default=0))


def example(files: Mapping[tuple[str, str], Sequence[Path]]) -> list[Turn]:
    """The turns of the row with the shortest prompt that a card can show; empty if there is none.

    Args:
        files: (config, split) → the Parquet files of a dataset. The training split of `cot` is read, or that of `all` if it is
            empty.
    """
    lengths = [
        (row["n_prompt_tokens"], row["sample_id"], path)
        for path in files.get(("cot", "train")) or files.get(("all", "train"), ())
        for row in read_table(path, columns=["n_prompt_tokens", "sample_id"]).to_pylist()
    ]
    for _, sample_id, path in sorted(lengths)[:_CANDIDATES]:
        turns = _turns(_row(path, sample_id))
        text = "\n".join(turn.content for turn in turns)
        if len(text) <= _MAX_LETTERS and not _UNSUITABLE.search(text):
            return turns
    return []


def _row(path: Path, sample_id: str) -> dict[str, Any]:
    for group, table in enumerate(row_groups(path, ["sample_id"])):
        place = table["sample_id"].index(pa.scalar(sample_id)).as_py()
        if place >= 0:
            return read_row_group(path, group, ["prompt", "completion"]).slice(place, 1).to_pylist()[0]
    raise ValueError(f"{path} has no row {sample_id}")


def _turns(row: dict[str, Any]) -> list[Turn]:
    return [
        Turn(f"{column}[{number}]", turn["role"], turn["content"])
        for column in ("prompt", "completion")
        for number, turn in enumerate(row[column])
    ]
