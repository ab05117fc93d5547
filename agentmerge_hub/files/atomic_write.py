"""Small files that are written whole or not at all, and the names of what is still being written."""

import os
import re
import secrets
from pathlib import Path

_PARTIAL = re.compile(r"\..+\.[0-9a-f]{8}\.partial")
_TEMPORARY_PART = re.compile(r"(?<![^/])\.([^/]+)\.[0-9a-f]{8}\.(?:partial|old)(?![^/])")


def write_text(path: Path, text: str) -> None:
    """Replace a small UTF-8 file in one step."""
    partial = temporary_name(path, "partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def temporary_name(path: Path, kind: str) -> Path:
    """A free hidden name beside `path`; random, because process ids are equal in different containers."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{kind}")


def is_partial(path: Path) -> bool:
    """True for a name that `temporary_name` gives to a file or folder that is still being written."""
    return _PARTIAL.fullmatch(path.name) is not None


def final_path(path: str) -> str:
    """A path with the names that its temporary parts get at the end, which a user knows."""
    return _TEMPORARY_PART.sub(r"\1", path)


def sync(folder: Path) -> None:
    """Wait until a folder's files and their names are on the disk."""
    for path in [folder, *folder.rglob("*")]:
        if path.is_file() or path.is_dir():
            sync_path(path)


def sync_path(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
