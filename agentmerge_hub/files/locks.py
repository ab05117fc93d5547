"""One writer for an output at a time, also from other containers and from other machines on a shared disk.

The lock is the operating system's lock on a small file: it ends with its process, however that ends. The file's text is
only for the message to a second writer. A process id proves nothing here.
"""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from agentmerge_hub.errors import UserError, os_errors_as_sentences, os_errors_name
from agentmerge_hub.files.atomic_write import is_partial

NAME = ".agentmerge.lock"
"""The lock file inside a folder that a stage writes in place."""

PATIENCE = 0.5
"""Seconds to wait for a writer that is just ending."""


@contextlib.contextmanager
def lock_folder(folder: Path, stage: str) -> Iterator[None]:
    """Be the only writer in a folder that is written in place, e.g. a training run or a study; make it if it is missing.

    Args:
        stage: what writes, e.g. ``train``, for the message to a second writer.

    Raises:
        UserError: another process writes there, or the folder cannot be written.
    """
    with os_errors_as_sentences(folder):
        folder = folder.resolve()
        str(folder).encode()  # a name that is not UTF-8: the libraries that write the files cannot use it
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with lock_file(folder / NAME, folder, stage):
            _remove_partial_files(folder)
            yield
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if nothing was written


@contextlib.contextmanager
def lock_file(path: Path, output: Path, stage: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock `path`, which protects `output`; the file exists only as long as the lock is held.

    Args:
        stage: what writes, for the message to a second writer.
        patience: seconds to wait for another holder.

    Raises:
        UserError: another process holds it, or it cannot be made.
    """

    def record(descriptor: int) -> None:
        # A file that its last holder unlinked protects nothing; on NFS it still has a name, so compare.
        if not os.path.samestat(os.fstat(descriptor), path.stat()):
            raise FileNotFoundError(path)
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": _now(), "stage": stage}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)

    lock = FileLock(path, thread_local=False, on_acquired=record)
    with os_errors_as_sentences(output), os_errors_name(output):
        _acquire(lock, path, output, patience)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # before the release: nobody else can hold this file
        lock.release()


def is_empty(folder: Path) -> bool:
    """True if a folder holds nothing but its lock and what a killed writer left half written."""
    return all(path.name == NAME or (is_partial(path) and path.is_file()) for path in folder.iterdir())


def _remove_partial_files(folder: Path) -> None:
    """Remove the files that a killed writer left half written; partial folders belong to other outputs."""
    for path in folder.iterdir():
        if is_partial(path) and path.is_file():
            path.unlink(missing_ok=True)


def _acquire(lock: FileLock, path: Path, output: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
            return
        except Timeout:
            raise UserError(
                f"{output} is being written by {_holder(path)}: wait until it ends, or choose another path"
            ) from None
        except FileNotFoundError:
            if not path.parent.is_dir() or time.monotonic() > deadline:
                raise


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"`{holder['stage']}` on {holder['host']} (process {holder['pid']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
