"""Written rows → how many come from each origin, for the card."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.dataset.parquet_writer import WrittenSplit


def origin_counts(written: Sequence[WrittenSplit], meanings: Mapping[str, str]) -> list[dict[str, Any]]:
    """Origin, meaning and number of rows over all splits, in the order of `meanings`; origins without rows are left out."""
    tables = [pq.read_table(path, columns=["origin"]) for split in written for path in split.files]
    names = pa.concat_tables(tables)["origin"].to_pylist() if tables else []
    return [
        {"origin": origin, "meaning": meaning, "number": names.count(origin)}
        for origin, meaning in meanings.items()
        if origin in names
    ]
