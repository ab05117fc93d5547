"""Read the written files back: set the sizes for the card, and scan for remaining secrets."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from agentmerge_hub.dataset.parquet_writer import WrittenSplit
from agentmerge_hub.dataset.redaction.files import scan_file, scan_table
from agentmerge_hub.dataset.redaction.finding import FileFinding
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.parquet_reading import row_groups


def measure_and_scan(written: list[WrittenSplit], scanner: LineScanner) -> None:
    """Read every Parquet file back once: set `num_bytes` of each split, and scan for secrets.

    Raises:
        UserError: if a secret remains.
    """
    _refuse(hit for split in written for hit in _measure(split, scanner))


def _measure(split: WrittenSplit, scanner: LineScanner) -> Iterator[FileFinding]:
    split.num_bytes = 0
    for path in split.files:
        for table in row_groups(path):
            split.num_bytes += table.nbytes
            yield from scan_table(table, f"data/{split.config}/{path.name}", scanner)


def scan_other_files(folder: Path, scanner: LineScanner) -> None:
    """Scan every file outside data/: card, ledger and the rest.

    Raises:
        UserError: if a secret remains.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "data" not in path.relative_to(folder).parts[:1]
    ]
    _refuse(hit for path in paths if path.suffix != ".png" for hit in scan_file(path, scanner))


def _refuse(hits: Iterator[FileFinding]) -> None:
    found = list(hits)
    if found:
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(Counter(hit.kind for hit in found).items()))
        raise UserError(
            f"the written files still hold secrets ({kinds}; the first: {found[0]}), so nothing was kept: "
            "use --allow WHAT=REASON for what may be published"
        )
