"""Cache of partial tables: a killed build resumes, and a build with more traces reads only the new ones.

A part holds the partial tables of a batch of episodes and the signature of each episode. Parts of another program version,
tokenizer or settings are never used. The folder can be deleted at any time.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.dataset.partial_tables import EpisodeStatus, PartialTables
from agentmerge_hub.errors import UserError
from agentmerge_hub.traces.find import Found

TABLES = ("samples", "steps", "ledger")


def default_folder() -> Path:
    """``$AGENTMERGE_CACHE``, or a folder in the user's cache."""
    if named := os.environ.get("AGENTMERGE_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentmerge-hub"


def program_hash() -> str:
    """Hash of the code that makes parts: a changed program never uses old parts."""
    package = Path(__file__).parents[1]
    core = [package / f"{name}.py" for name in ("chat_template", "fit", "records", "segments", "tokenizer")]
    code = [path for name in ("actions", "prompt", "traces", "dataset") for path in (package / name).rglob("*.py")]
    digest = hashlib.sha256()
    for path in sorted([*core, *code, package / "dataset" / "tasks.csv"]):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def signature(found: Found) -> str:
    """Changes when a file of the episode is added, removed or written anew; nothing is opened."""
    paths = [found.folder] if found.folder.is_file() else [path for path in found.folder.iterdir() if path.is_file()]
    files = sorted((path.name, path.stat()) for path in paths)
    listing = [found.source, *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in files)]
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


@dataclass(frozen=True)
class CacheEntry:
    """The part that holds the rows of an episode."""

    part: Path
    read: EpisodeStatus


class PartCache:
    """The parts made by one program version with one tokenizer and one set of settings."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Open the cache or create it.

        Raises:
            UserError: if the folder cannot be written.
        """
        self.folder = folder / "parts" / fingerprint
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written ({error.strerror}): set AGENTMERGE_CACHE") from None

    def _sweep(self) -> None:
        """Remove what killed builds left behind. Writing a part takes seconds."""
        for path in self.folder.glob(".*.partial"):
            if time.time() - path.stat().st_mtime > 3600:
                shutil.rmtree(path, ignore_errors=True)

    def entries(self) -> dict[str, CacheEntry]:
        """Signature of an episode → the part that holds its rows."""
        entries: dict[str, CacheEntry] = {}
        for part in sorted(self.folder.glob("part-*")):
            try:
                episodes = json.loads((part / "part.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):  # damaged from outside: the build makes it again
                shutil.rmtree(part, ignore_errors=True)
                continue
            for episode in episodes:
                entries[episode["signature"]] = CacheEntry(part, EpisodeStatus(**episode["read"]))
        return entries

    def add(self, part: PartialTables, signatures: Iterable[str]) -> None:
        """Store a part, whole or not at all."""
        names = list(signatures)
        content = [{"signature": name, "read": vars(read)} for name, read in zip(names, part.episodes)]
        name = hashlib.sha256("".join(names).encode()).hexdigest()[:24]
        partial = self.folder / f".{name}.{os.getpid()}.partial"
        partial.mkdir()
        for table in TABLES:
            pq.write_table(getattr(part, table), partial / f"{table}.parquet", compression="zstd", compression_level=1)
        (partial / "part.json").write_text(json.dumps(content), encoding="utf-8")
        target = self.folder / f"part-{name}"
        if target.exists():
            shutil.rmtree(partial)
        else:
            partial.rename(target)


@lru_cache(maxsize=6)
def table(part: Path, name: str) -> pa.Table:
    """A table of a part. The last few stay in memory, because neighboring episodes can be in different parts."""
    return pq.read_table(part / f"{name}.parquet")


def keys(parts: Iterable[Path], name: str, columns: list[str]) -> Iterator[tuple[Path, dict[str, list]]]:
    """The named columns of each part's table, as lists."""
    for part in parts:
        yield part, pq.read_table(part / f"{name}.parquet", columns=columns).to_pydict()
