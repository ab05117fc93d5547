"""Read files of traces within bounds: regular files only, none outside of the folder, never more bytes than allowed."""

import contextlib
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from agentmerge_hub.traces.limits import EPISODE_FILE_BYTES

MAX_BYTES = 128 * 2**20
"""Largest file, packed and unpacked. A step of a long page without its screenshot takes some 0.3 MB, with it 3 MB."""

MAX_RATIO = 200
"""Most bytes that a packed byte may become, after the first `FREE_BYTES`. Pages of real traces reach 12."""

FREE_BYTES = 4 * 2**20

MAX_MEMBERS = 100
"""Most gzip members of a file, each of which is copied. Python writes one."""


class Refused(ValueError):
    """A file that is not read further; the message says why, as the second half of a sentence."""


def read_file(path: Path, limit: int | None = None, within: Path | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        limit: the most bytes; `MAX_BYTES` if None.
        within: a folder that links must not leave; the file's own if None.

    Raises:
        Refused: if it is no regular file, a link out of the folder, larger than the limit, or cannot be read.
    """
    limit = MAX_BYTES if limit is None else limit
    try:
        if within or path.is_symlink():
            path, folder = path.resolve(), (within or path.parent).resolve()
            if not path.is_relative_to(folder):
                raise Refused("is a link to a file outside of its folder: copy the files themselves")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(_regular(descriptor), "rb") as file:
            size = os.fstat(descriptor).st_size
            if size > limit:
                raise Refused(f"is larger than {size_text(limit)}")
            data = file.read(size + 1)  # read() reserves as many bytes as it is given
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror or error})") from None
    except (RuntimeError, ValueError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"cannot be read ({error})") from None  # a loop of links
    if len(data) > limit:
        raise Refused(f"is larger than {size_text(limit)}")
    return data


def total_size(paths: Iterable[Path]) -> int:
    """Bytes of files together; a file that is missing has none."""
    size = 0
    for path in paths:
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    return size


def check_total(paths: Iterable[Path]) -> None:
    """Check the size of an episode's files before they are read.

    Raises:
        Refused: if they are larger than an episode may be.
    """
    if total_size(paths) > EPISODE_FILE_BYTES:
        raise Refused(f"the files of the episode are larger than {size_text(EPISODE_FILE_BYTES)} together")


def _regular(descriptor: int) -> int:
    """The descriptor, if it is one of a regular file; otherwise it is closed."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused("is no regular file")
    return descriptor


def unpack(data: bytes) -> bytes:
    """Decompress gzipped data; anything else is returned as it is.

    Raises:
        Refused: if it is damaged or too large for its packed size.
    """
    if data[:2] != _GZIP:
        if len(data) > MAX_BYTES:
            raise Refused(f"is larger than {size_text(MAX_BYTES)}")
        return data
    limit = min(MAX_BYTES, FREE_BYTES + MAX_RATIO * len(data))
    parts: list[bytes] = []
    try:
        while data[:2] == _GZIP:  # a file can have several members
            if len(parts) == MAX_MEMBERS:
                raise Refused(f"has more than {MAX_MEMBERS} gzip members")
            member = zlib.decompressobj(wbits=31)
            parts.append(member.decompress(data, limit + 1))
            limit -= len(parts[-1])
            if limit < 0:
                raise Refused(f"is larger than {size_text(limit + sum(map(len, parts)))} unpacked")
            if not member.eof:
                raise Refused("cannot be decompressed (it ends in the middle)")
            data = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise Refused(f"cannot be decompressed ({str(error)[:100]})") from None
    return b"".join(parts)


_GZIP = b"\x1f\x8b"
_BLOCK = 2**20


def blocks(path: Path, limit: int) -> Iterator[bytes]:
    """The content of a file in blocks of at most 1 MB, unpacked where it is gzipped, as far as it can be unpacked and up to a limit.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        source = gzip.GzipFile(fileobj=file) if packed else file
        while limit > 0 and (block := _block(source)):
            yield block
            limit -= len(block)


def _block(source: io.BufferedIOBase) -> bytes:
    block = bytearray()
    with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
        while len(block) < _BLOCK and (part := source.read1(_BLOCK - len(block))):
            block += part
    return bytes(block)


def size_text(limit: int) -> str:
    """A number of bytes as messages write it."""
    return f"{limit // 2**20} MB" if limit >= 2**20 else f"{limit:,} bytes"
