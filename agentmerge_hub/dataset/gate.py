"""Read back what was written: the sizes the card tells, and a last look for secrets."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from agentmerge_hub.dataset.redaction import Located, Scanner, scan_file, scan_table
from agentmerge_hub.dataset.write import Written
from agentmerge_hub.errors import UserError


def measure(written: list[Written], scanner: Scanner) -> None:
    """Read every Parquet file back once: set `num_bytes` of each split, and look for secrets.

    Raises:
        UserError: if a secret is left.
    """
    _refuse(hit for split in written for hit in _measure(split, scanner))


def _measure(split: Written, scanner: Scanner) -> Iterator[Located]:
    split.num_bytes = 0
    for path in split.files:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            split.num_bytes += table.nbytes
            yield from scan_table(table, f"data/{split.config}/{path.name}", scanner)


def check_files(folder: Path, scanner: Scanner) -> None:
    """Scan the files beside data/: card, ledger and whatever lies there.

    Raises:
        UserError: if a secret is left.
    """
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "data" not in path.relative_to(folder).parts[:1]
    ]
    _refuse(hit for path in paths if path.suffix != ".png" for hit in scan_file(path, scanner))


def _refuse(hits: Iterator[Located]) -> None:
    found = list(hits)
    if found:
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(Counter(hit.kind for hit in found).items()))
        raise UserError(
            f"redaction left secrets in what was written ({kinds}; the first: {found[0]}), so nothing was kept: "
            "say --allow WHAT=REASON for what may be published"
        )
