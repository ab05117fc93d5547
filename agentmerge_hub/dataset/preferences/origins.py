"""Written rows → how many come from each origin, by split, for the manifest and the card."""

from collections import Counter
from collections.abc import Iterable

from agentmerge_hub.dataset.parquet_writer import WrittenSplit
from agentmerge_hub.files.parquet_reading import read_table


def origin_counts(written: Iterable[WrittenSplit], config: str, meanings: Iterable[str]) -> dict[str, dict[str, int]]:
    """Origin → split → rows of a config, in the order of `meanings`; origins without rows are left out."""
    counts: dict[str, dict[str, int]] = {}
    for split in (each for each in written if each.config == config):
        names = Counter(
            name for path in split.files for name in read_table(path, columns=["origin"])["origin"].to_pylist()
        )
        for origin in meanings:
            if names[origin]:
                counts.setdefault(origin, {})[split.split] = names[origin]
    return {origin: counts[origin] for origin in meanings if origin in counts}
