"""Cache of partial tables: a killed build resumes, and a build with more traces reads only the new ones.

A part holds the partial tables of a batch of episodes and the key of each episode. Parts of another program version,
tokenizer or settings are never used. The folder can be deleted at any time.
"""

import contextlib
import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.dataset.parallel.partial_tables import EpisodeStatus, PackedTables
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files import content_hash
from agentmerge_hub.files.atomic_write import temporary_name
from agentmerge_hub.files.content_hash import combined_hash, file_hash, file_hashes
from agentmerge_hub.traces.files import MAX_BYTES
from agentmerge_hub.traces.find import Found, FoundIn
from agentmerge_hub.traces.limits import EPISODE_FILE_BYTES

_LATER_STAGES = ("training", "merging", "tuning", "agents", "analysis", "publishing")
_NOT_READ = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4", ".webm", ".log")


def program_hash() -> str:
    """Hash of the code that makes parts: a changed program never uses old parts."""
    return content_hash.program_hash(_LATER_STAGES)


def episode_keys(episodes: Iterable[Found], *, screenshots: bool = False) -> list[str]:
    """The key of each episode, of files as they are now: an earlier build of this process may have read others."""
    _hashes_beside.cache_clear()
    _hashes_of.cache_clear()
    return [episode_key(found, screenshots=screenshots) for found in episodes]


def episode_key(found: Found, *, screenshots: bool = False) -> str:
    """Identifies an episode by its source and the content of the files that are read."""
    try:
        if isinstance(found, FoundIn) and found.format == "link":  # of which nothing is read
            content = found.format
        elif found.folder.is_file():  # which holds several episodes: the source says which
            content = combined_hash(_hashes_beside(found.folder))
        else:
            select = _is_read_with_screenshots if screenshots else _is_read
            content = combined_hash(_hashes(found.folder, select, EPISODE_FILE_BYTES))
    except OSError as error:  # the reader reports it
        content = f"unreadable {error.errno}"
    return hashlib.sha256(f"{found.source}\0{content}".encode(errors="surrogateescape")).hexdigest()


@lru_cache(maxsize=8)
def _hashes_beside(file: Path) -> dict[str, str]:
    """Hashes of a file that holds episodes and of the files that are read with it: CUBE's metadata and answers, Harbor's result."""
    paths = [file, file.with_name(f"{file.stem}.metadata.json")]
    if file.parent.name == "agent":
        paths.append(file.parent.parent / "result.json")
    hashes = {path.name: _content_hash(path) for path in paths if path.is_file()}
    for folder in (file.parent, file.parent.parent):
        if (folder / "llm_calls").is_dir():
            answers = _hashes_of(folder / "llm_calls")
            hashes |= {name: sha for name, sha in answers.items() if name.startswith(f"{file.stem}_step")}
    return hashes


def _content_hash(path: Path) -> str:
    """Hash of a file; one that is refused for its size is known by size and time."""
    found = path.stat()
    return file_hash(path) if found.st_size <= MAX_BYTES else f"{found.st_size} bytes of {found.st_mtime_ns}"


@lru_cache(maxsize=8)
def _hashes_of(folder: Path) -> dict[str, str]:
    return _hashes(folder, _is_read)


def _hashes(folder: Path, select: Callable[[str], bool], limit: float = math.inf) -> dict[str, str]:
    """Hashes of the files of a folder that are read. Files that are refused for their size, alone or together, are known by size
    and time."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    stats = {name: path.stat() for name, path in paths.items() if select(name) and path.is_file()}
    too_many = sum(found.st_size for found in stats.values()) > limit
    refused = {name for name, found in stats.items() if too_many or found.st_size > MAX_BYTES}
    known = {name: f"{stats[name].st_size} bytes of {stats[name].st_mtime_ns}" for name in refused}
    return file_hashes(folder, lambda name: name in stats and name not in refused) | known


def _is_read(name: str) -> bool:
    """Whether a file of an episode's folder is read: no screenshot, video or log, and nothing hidden."""
    in_folder = "/" not in name or name.startswith(("events/", "steps/"))  # of CUBE
    return in_folder and not name.startswith(".") and not name.lower().endswith(_NOT_READ)


def _is_read_with_screenshots(name: str) -> bool:
    return _is_read(name) or (name.startswith("screenshot_") and name.endswith(".png"))


@dataclass(frozen=True)
class CacheEntry:
    """The part that holds the rows of an episode."""

    part: Path
    status: EpisodeStatus


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
            self._remove_leftovers()
        except OSError as error:
            raise UserError(f"{self.folder} cannot be written ({error.strerror}): set AGENTMERGE_CACHE") from None

    def _remove_leftovers(self) -> None:
        """Remove what killed builds left behind. Writing a part takes seconds."""
        for path in self.folder.glob(".*.partial"):
            if time.time() - path.stat().st_mtime > 3600:
                shutil.rmtree(path, ignore_errors=True)

    def entries(self) -> dict[str, CacheEntry]:
        """Key of an episode → the part that holds its rows."""
        entries: dict[str, CacheEntry] = {}
        for part in sorted(self.folder.glob("part-*")):
            try:
                episodes = json.loads((part / "part.json").read_text(encoding="utf-8"))
            except (OSError, ValueError, KeyError, TypeError):  # damaged from outside: the build makes it again
                shutil.rmtree(part, ignore_errors=True)
                continue
            for episode in episodes:
                entries[episode["key"]] = CacheEntry(part, EpisodeStatus(**episode["status"]))
        return entries

    def add(self, part: PackedTables, keys: Sequence[str]) -> None:
        """Store a part, whole or not at all.

        Args:
            keys: of the part's episodes, in their order.
        """
        episodes = [{"key": key, "status": vars(status)} for status, key in zip(part.episodes, keys)]
        name = hashlib.sha256("".join(sorted(keys)).encode()).hexdigest()[:24]
        with os_errors_as_sentences():
            partial = temporary_name(self.folder / name, "partial")
            partial.mkdir()
            try:
                for table, content in part.files.items():
                    (partial / f"{table}.parquet").write_bytes(content)
                (partial / "part.json").write_text(json.dumps(episodes), encoding="utf-8")
                target = self.folder / f"part-{name}"
                if not target.exists():
                    with contextlib.suppress(FileExistsError, OSError):
                        partial.rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)


@lru_cache(maxsize=6)
def table(part: Path, name: str) -> pa.Table:
    """A table of a part. The last few stay in memory, because neighboring episodes can be in different parts."""
    return pq.read_table(part / f"{name}.parquet")


def columns_of(parts: Iterable[Path], name: str, columns: list[str]) -> Iterator[tuple[Path, dict[str, list]]]:
    """The named columns of each part's table, as lists."""
    for part in parts:
        yield part, pq.read_table(part / f"{name}.parquet", columns=columns).to_pydict()
