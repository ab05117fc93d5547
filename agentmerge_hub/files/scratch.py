"""Temporary folders that are gone after the block, or, if the process was killed, after the next run."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import locks


@contextlib.contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """A new folder in the system's temporary folder, for this user alone.

    A lock beside it is held as long as the process lives, so that another run can tell that it is in use.

    Args:
        kind: what it is for, e.g. ``adapters``; a part of its name.
    """
    root, prefix = Path(tempfile.gettempdir()), f"agentmerge-{kind}-"
    _remove_leftovers(root, prefix)
    folder = root / f"{prefix}{secrets.token_hex(4)}"
    with locks.lock_file(_lock_of(folder), folder, kind):
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove_leftovers(root: Path, prefix: str) -> None:
    """Remove this user's folders of that kind whose lock nobody holds."""
    for path in root.glob(f"{prefix}*.lock"):
        with contextlib.suppress(UserError, OSError):
            if path.lstat().st_uid == os.geteuid():
                folder = path.with_suffix("")
                with locks.lock_file(path, folder, "clean", patience=0.0):
                    shutil.rmtree(folder, ignore_errors=True)
