"""Texts → findings of Kingfisher, a maintained scanner with rules of its own (https://github.com/mongodb/kingfisher).

Redaction goes by other rules, so that one engine finds what the other misses. Runs the binary of `kingfisher-bin` on this
machine: nothing is validated online, and nothing is sent.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from agentmerge_hub.dataset.redaction.placeholders import is_harmless
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.content_hash import cache_folder
from agentmerge_hub.files.scratch import scratch_folder
from agentmerge_hub.publishing.publish_checks.text_extraction import Text

_FOUND = 200
"""Exit code of a scan with findings."""


class SecretEngine:
    """Collects texts in a temporary folder, which never outlives this process by more than one run, and scans them all at once."""

    def __init__(self) -> None:
        self._exit = ExitStack()
        self._folder = self._exit.enter_context(scratch_folder("scan"))
        self._files: dict[str, Path] = {}
        self._lines: set[int] = set()

    def __enter__(self) -> "SecretEngine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def add(self, text: Text) -> None:
        """Keep a text for the scan; of lines that come again, the first is scanned."""
        lines = [line for line in text.text.split("\n") if hash(line) not in self._lines]
        self._lines.update(map(hash, lines))
        if any(lines):
            path = self._files.setdefault(text.where, self._folder / f"{len(self._files)}.txt")
            with path.open("a", encoding="utf-8", errors="replace") as file:
                file.write("\n".join(lines) + "\n")

    def findings(self, allowed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Pairs of place and kind, each once.

        Args:
            allowed: kinds or values that may be published, with the reason.

        Raises:
            UserError: if the scanner does not run.
        """
        where = {path.name: place for place, path in self._files.items()}
        reported: set[tuple[str, str]] = set()
        for found in _scan(self._folder) if where else ():
            value = found["finding"]["snippet"]
            if is_harmless(value) or value in allowed or "token" in allowed:
                continue
            place = where[Path(found["finding"]["path"]).name]
            digest = hashlib.sha256(value.encode()).hexdigest()[:8]
            pair = place, f"a secret of the kind {found['rule']['name']} (sha256 {digest}…)"
            if pair not in reported:
                reported.add(pair)
                yield pair


def _scan(folder: Path) -> Iterator[dict]:
    from kingfisher import get_binary_path

    cache = cache_folder() / "kingfisher"
    options = [
        "--no-validate",
        "--git-history",
        "none",
        "--format",
        "jsonl",
        "--no-dedup",
        "--no-ignore",
        "--confidence",
        "low",
    ]
    command = [get_binary_path(), "scan", "--no-update-check", "--quiet", *options, "--rule-cache-dir", str(cache), "."]
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if key in os.environ}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode not in (0, _FOUND):
        said = " ".join(done.stderr.decode(errors="replace").split())[:200]
        raise UserError(
            f"The secret scanner kingfisher failed ({said}): run it by hand, or install kingfisher-bin again."
        )
    for line in done.stdout.splitlines():
        entry = json.loads(line)
        if "finding" in entry and "rule" in entry:
            yield entry
