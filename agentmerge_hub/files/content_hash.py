"""Hashes of what a stage reads: file contents, never a name, a time or an earlier manifest.

Hashes of unchanged files are remembered in the user's cache folder, by path, size, times and inode; set
``AGENTMERGE_HASH_CACHE=0`` to read every file each time. The cache can be deleted at any time.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

SWITCH = "AGENTMERGE_HASH_CACHE"

MODEL_FILES = (
    "config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "*.gguf",
    "pytorch_model*.bin", "pytorch_model.bin.index.json", "adapter_config.json", "adapter_model.bin",
    "tokenizer*.json", "tokenizer.model*", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt",
    "vocab.bpe", "merges.txt", "*.jinja", "*.model",
)  # fmt: skip
"""What makes a model: weights, configuration and tokenizer, at the top of its folder."""

NOT_READ = ("README*", "LICENSE*", "NOTICE*", "manifest.json")
"""Files at the top of a folder that no stage reads as data; hidden files and folders are left out everywhere."""

PIECE = 1 << 20
"""Bytes that are hashed at once: they stay in the processor's cache between reading and hashing."""

_LARGE = 64 << 20
"""Bytes from which on starting a process is a small part of the work."""

_SETTLED = 3.0
"""Seconds since a file's last change before its hash is remembered: within the clock's granularity a second change would
keep the same time and go unseen."""

_Stat = list[int]


def file_hash(path: Path) -> str:
    """sha256 of a file, read in large pieces: Python's lock is free while one is read or hashed, and other threads work."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        piece = memoryview(bytearray(min(PIECE, max(1, os.fstat(file.fileno()).st_size))))
        while count := file.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()


def file_hash_by_process(path: Path) -> str:
    """sha256 of a file, of a large one by a process of its own: it does not wait for Python's lock while this one imports or
    computes."""
    if path.stat().st_size >= _LARGE:
        with contextlib.suppress(OSError):  # no process can be started: hashed here
            done = subprocess.run([sys.executable, "-I", "-S", __file__, path], capture_output=True, text=True)
            if re.fullmatch(r"[0-9a-f]{64}\n", done.stdout):
                return done.stdout.strip()
    return file_hash(path)


def file_hashes(
    folder: Path, select: Callable[[str], bool] | None = None, hash_file: Callable[[Path], str] | None = None
) -> dict[str, str]:
    """sha256 of the files of a folder that a stage reads, by name relative to the folder.

    Args:
        folder: the folder, or a single file.
        select: takes a file's name and says whether it is read. The default is, for a model, what `is_model_file` says, for
            any other folder what `is_data_file` says.
        hash_file: takes a file and gives its sha256, e.g. `file_hash_by_process`; `file_hash` if None.

    Raises:
        OSError: if it is missing or a file cannot be read.
    """
    hash_file = hash_file or file_hash
    if folder.is_file():
        return {folder.name: hash_file(folder)}
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such input", str(folder))
    select = select or (is_model_file if is_model(folder) else is_data_file)
    present = _files(folder)
    names = [name for name in present if select(name)]
    cache = _cache_file(folder)
    known = _remembered(cache)
    settled: dict[str, tuple[_Stat, str]] = {}
    hashes = {}
    for name in names:
        path = folder / name
        before, began = _stat(path), time.time()
        earlier = known.get(name)
        if earlier and earlier[0] == before:
            hashes[name], settled[name] = earlier[1], earlier
            continue
        hashes[name] = hash_file(path)
        if _stat(path) == before and max(before[1], before[3]) < (began - _SETTLED) * 1e9:
            settled[name] = (before, hashes[name])
    if settled != {name: known[name] for name in names if name in known}:
        unread = {name: known[name] for name in set(known) & (set(present) - set(names))}
        _remember(cache, unread | settled)
    return hashes


def folder_hash(folder: Path, select: Callable[[str], bool] | None = None) -> str:
    """One sha256 over the sorted names and hashes of the files of a folder that a stage reads; see `file_hashes`."""
    return combined_hash(file_hashes(folder, select))


def combined_hash(hashes: Mapping[str, str]) -> str:
    """One sha256 for hashes by name."""
    lines = (os.fsencode(name) + b"\0" + sha.encode() + b"\n" for name, sha in sorted(hashes.items()))
    return hashlib.sha256(b"".join(lines)).hexdigest()


def program_hash(without: Collection[str] = ()) -> str:
    """sha256 of this package's code and tables, for caches that no other version of it may use.

    Args:
        without: sub-packages that are left out.
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package)
        if name.parts[0] not in without and path.suffix in (".py", ".csv"):
            digest.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def short_id(text: str) -> str:
    """16 hexadecimal digits of the sha256 of a text, at least one of them a letter: an id of digits alone can be a card number."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    windows = (digest[begin : begin + 16] for begin in range(len(digest) - 15))
    return next((window for window in windows if not window.isdigit()), f"f{digest[:15]}")


def is_model(folder: Path) -> bool:
    """True for a folder with the configuration of a model or an adapter."""
    return (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file()


def is_model_file(name: str) -> bool:
    """True for weights, configuration and tokenizer; false for notes, logs, optimizer states and checkpoints below."""
    return "/" not in name and any(fnmatchcase(name, pattern) for pattern in MODEL_FILES)


def is_hidden(name: str) -> bool:
    """Whether a file, or a folder that it is in, has a name with a dot at its beginning."""
    return any(part.startswith(".") for part in name.split("/"))


def is_data_file(name: str) -> bool:
    """False for hidden files and folders, and for notes and the manifest at the top."""
    if is_hidden(name):
        return False
    return "/" in name or not any(fnmatchcase(name, pattern) for pattern in NOT_READ)


def cache_folder() -> Path:
    """``$AGENTMERGE_CACHE``, else the user's cache folder."""
    if named := os.environ.get("AGENTMERGE_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentmerge-hub"


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _stat(path: Path) -> _Stat:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns]


def _cache_file(folder: Path) -> Path | None:
    if os.environ.get(SWITCH) == "0":
        return None
    key = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    return cache_folder() / "hashes" / key[:2] / f"{key}.json"


def _remembered(cache: Path | None) -> dict[str, tuple[_Stat, str]]:
    """Name → what its file was and its hash; empty where there is no cache or it is damaged."""
    if cache is None:
        return {}
    try:
        content = json.loads(cache.read_bytes())
        return {name: ([int(n) for n in stat], str(sha)) for name, (stat, sha) in content.items() if len(sha) == 64}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(cache: Path | None, content: Mapping[str, tuple[_Stat, str]]) -> None:
    """Replace a cache file whole; of several processes one counts. A cache that cannot be written is no error."""
    if cache is None:
        return
    partial = cache.with_suffix(".partial")
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("x", encoding="utf-8") as file:
                json.dump(content, file)
        except FileExistsError:  # another process is writing, or was killed while it did
            if time.time() - partial.stat().st_mtime > _SETTLED:
                partial.unlink()
        else:
            partial.replace(cache)


if __name__ == "__main__":
    print(file_hash(Path(sys.argv[1])))
