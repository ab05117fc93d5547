"""A folder for the temporary files of workers and browsers. Folders of killed runs are removed by the next run."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.locks import lock_folder


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder, removed after the block. It is locked while its run lives, so that no other run removes it."""
    root = Path(tempfile.gettempdir()) / f"agentmerge-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    _remove_leftovers(root)
    folder = Path(tempfile.mkdtemp(dir=root))
    try:
        with lock_folder(folder, "episodes"):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            root.rmdir()  # only if no other run uses it


def _remove_leftovers(root: Path) -> None:
    for folder in root.iterdir():
        # A folder without a lock is being created or was never used: the lock of a killed run stays as a file.
        with contextlib.suppress(UserError, OSError):
            if folder.stat().st_uid == os.getuid() and any(folder.iterdir()):
                with lock_folder(folder, "episodes"):
                    shutil.rmtree(folder, ignore_errors=True)
