"""Run the command line in the tests, and read what a build wrote."""

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
from click.testing import CliRunner

from agentmerge_hub.cli import agentmerge


def run(*arguments: object) -> str:
    result = CliRunner().invoke(agentmerge, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def rows(folder: Path, config: str, split: str = "*") -> list[dict]:
    return [
        row
        for path in sorted(folder.glob(f"data/{config}/{split}-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def ledger(folder: Path) -> list[tuple[str, str]]:
    return [(row["rule"], row["source"]) for row in pq.read_table(folder / "ledger.parquet").to_pylist()]


def data_hashes(folder: Path) -> dict[str, str]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
