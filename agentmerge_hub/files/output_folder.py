"""Outputs that appear whole or not at all: a stage writes a folder beside its place and renames it when it is finished.

What a user has is never replaced by half an output, never by another stage's output, and never by an output made from it.
"""

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError, os_errors_as_sentences, os_errors_name
from agentmerge_hub.files import content_hash, locks
from agentmerge_hub.files.atomic_write import sync, sync_path, temporary_name


@contextlib.contextmanager
def new_folder(out: Path, stage: str, inputs: Iterable[Path] = ()) -> Iterator[Path]:
    """A folder that appears as `out` only when the block ends without an error.

    Yields a folder beside `out` to write in; write its manifest inside the block. An earlier finished output of the same
    stage is replaced, unless a user put files into it or edited its card; anything else at `out` stays as it is. A symbolic link is followed: its target is replaced.

    Args:
        stage: the verb, as in the manifest.
        inputs: files and folders that the stage reads.

    Raises:
        UserError: `out` holds something that this stage did not make, or an edited card, is or holds an input or is inside one, or is being
            written by another process; or the operating system refuses to write.
    """
    with os_errors_as_sentences(out):
        check_not_input(out, inputs)
        check_replaceable(out, stage)
        shown, out = out, _resolved(out)
        with _parent_made(out), locks.lock_file(out.with_name(f".{out.name}.lock"), shown, stage):
            _remove_leftovers(out)
            check_replaceable(out, stage)  # again: another writer may have finished in between
            partial = temporary_name(out, "partial")
            partial.mkdir()
            try:
                yield partial
                sync(partial)
                _replace(partial, out)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise


@contextlib.contextmanager
def _parent_made(out: Path) -> Iterator[None]:
    """Make the folders that `out` is to be in; after an error, those that are empty are removed again."""
    made = [parent for parent in out.parents if not parent.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for parent in made:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def check_replaceable(out: Path, stage: str) -> None:
    """Check before long work that `out` can be written: it is free, empty, or an earlier output of the same stage.

    Raises:
        UserError: it is something else, or its parent folder cannot be written.
    """
    if is_free(out):
        return
    out = _resolved(out)
    if not (out / manifest.NAME).is_file() or manifest.read(out)["stage"] != stage:
        raise UserError(f"{out} already exists and `{stage}` did not make it: choose another path or move it away")
    _check_nothing_of_the_user(out, stage)


def is_free(out: Path) -> bool:
    """Whether nothing is at `out`, or an empty folder.

    Raises:
        UserError: if its parent folder cannot be written.
    """
    check_can_be_made(out)
    with os_errors_as_sentences(out):
        out = _resolved(out)
        return not out.exists() or (out.is_dir() and locks.is_empty(out))


def check_can_be_made(out: Path) -> None:
    """Check before long work that a file or folder can be made at `out`; folders that it is to be in need not be there.

    Raises:
        UserError: if its parent folder cannot be written.
    """
    with os_errors_as_sentences(out):
        out = _resolved(out)
        str(out).encode()  # a name that is not UTF-8: the libraries that write the files cannot use it
        parent = next(path for path in out.parents if path.exists())
        if not parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "", str(out.parent))
        _check_can_hold_files(parent)


def _check_can_hold_files(folder: Path) -> None:
    """Raise an OSError that names the folder if no file can be made in it: no permission, a read-only or a full disk.

    Raises:
        UserError: for a folder such as ``/proc``, whose permissions allow what its file system does not.
    """
    try:
        with os_errors_name(folder):
            tempfile.TemporaryFile(dir=folder).close()
    except (FileNotFoundError, PermissionError) as error:
        may_write = os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
        if isinstance(error, PermissionError) and not may_write:
            raise
        raise UserError(f"{folder} cannot hold new files: choose another path") from None


def _check_nothing_of_the_user(out: Path, stage: str) -> None:
    """Raise UserError for a file that the stage did not write, or a card that was edited since: replacing the folder would
    delete it. Hidden files and GGUF files, which are made from the weights, do not count."""
    for name in manifest.unlisted(out):
        if not name.endswith(".gguf") and not content_hash.is_hidden(name):
            raise UserError(
                f"{out / name} is not of the earlier `{stage}`, which is replaced: move it away, or choose another path"
            )
    if manifest.is_changed(out, "README.md"):
        raise UserError(
            f"{out / 'README.md'} was edited since `{stage}` wrote it, and the folder is replaced: move it away, or choose another path"
        )


def check_not_input(out: Path, inputs: Iterable[Path]) -> None:
    """Raise UserError if `out` is one of the inputs, is inside one, or holds one, also through symbolic links."""
    place = _resolved(out)
    for given in inputs:
        source = _resolved(given)
        if place == source:
            relation = "is the input"
        elif place.is_relative_to(source):
            relation = "is inside the input"
        elif source.is_relative_to(place):
            relation = "holds the input"
        else:
            continue
        raise UserError(f"the output {out} {relation} {given}: choose another path")


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError:  # Python 3.11 and 3.12 on a loop
        raise UserError(f"{path}: its symbolic links form a loop: choose another path") from None


def _replace(partial: Path, out: Path) -> None:
    """Give the finished folder its name; at any moment either the earlier output or the new one is there, or its `.old`."""
    if not out.exists():
        partial.rename(out)
    elif _exchange(partial, out):
        shutil.rmtree(partial, ignore_errors=True)
    else:
        old = temporary_name(out, "old")
        out.rename(old)
        try:
            partial.rename(out)
        except BaseException:
            old.rename(out)
            raise
        old.rename(partial)  # an `.old` is always whole
        shutil.rmtree(partial, ignore_errors=True)
    sync_path(out.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system cannot (only Linux can, on most file systems)."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux's fcntl.h
    return renameat2 is not None and renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def remove_leftovers(out: Path) -> None:
    """Remove what killed runs left beside `out`, which takes disk space, unless another process is writing there."""
    out = _resolved(out)
    if out.parent.is_dir():
        lock = out.with_name(f".{out.name}.lock")
        with contextlib.suppress(UserError, OSError), locks.lock_file(lock, out, "clean", patience=0.0):
            _remove_leftovers(out)


def _remove_leftovers(out: Path) -> None:
    """Remove what killed runs left beside `out`, and put back an output that was killed between two renames.

    Only the holder of the output's lock may do so: it knows that no other writer is alive.
    """
    for path in sorted(out.parent.iterdir()):
        kind = path.name.rpartition(".")[2]
        if not path.name.startswith(f".{out.name}.") or kind not in ("partial", "old"):
            continue
        if path.name.count(".") != out.name.count(".") + 3:
            continue  # of another output, whose name begins alike
        if kind == "old" and not out.exists():
            path.rename(out)
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
