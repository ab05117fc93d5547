"""The hash of a file that is still being written, from its begin to its end: each part is read while it is in the page cache."""

import hashlib
import threading
from io import FileIO
from pathlib import Path

from agentmerge_hub.files.atomic_write import sync_path
from agentmerge_hub.files.content_hash import PIECE

_SYNC = 256 << 20
"""Bytes after which what was written is brought to the disk."""


class ProgressiveHash:
    """sha256 of one file; parts can be added from any thread."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet: the file need not be there."""
        self._path = path
        self._digest = hashlib.sha256()
        self._position = self._synced = 0
        self._error: OSError | None = None
        self._lock = threading.Lock()

    def advance(self, end: int) -> None:
        """Hash the bytes before `end`, which do not change any more. An error is raised by `hexdigest`."""
        try:
            with self._lock, self._path.open("rb", buffering=0) as file:
                self._advance(file, end)
                is_due = self._position - self._synced >= _SYNC
                if is_due:
                    self._synced = self._position
            if is_due:  # without the lock: another thread hashes on
                sync_path(self._path)
        except OSError as error:
            self._error = self._error or error

    def hexdigest(self) -> str:
        """sha256 of the whole file, which is finished.

        Raises:
            OSError: of this or an earlier part, also if the disk did not take what was written.
        """
        self.advance(self._path.stat().st_size)
        if self._error is not None:
            raise self._error
        return self._digest.hexdigest()

    def _advance(self, file: FileIO, end: int) -> None:
        file.seek(self._position)
        piece = memoryview(bytearray(PIECE))
        while count := file.readinto(piece[: max(0, end - self._position)]):
            self._digest.update(piece[:count])
            self._position += count
