"""The line a study shows while it runs: done, failed, left, success rate, time left."""

import sys
import time


class Progress:
    """Counts episodes as they end; on a terminal the line is rewritten, elsewhere it is printed now and then."""

    def __init__(self, total: int, done: int, *, what: str) -> None:
        self.total, self.before, self.what = total, done, what
        self.done = self.failed = self.successes = 0
        self._start = self._shown = time.monotonic()

    def ended(self, *, crashed: bool, success: bool) -> None:
        """Note one episode."""
        self.done += 1
        self.failed += crashed
        self.successes += success
        if sys.stderr.isatty() or time.monotonic() - self._shown > 15 or self._left == 0:
            self._shown = time.monotonic()
            print(f"{chr(13) if sys.stderr.isatty() else ''}{self.line()}", end=self._end, file=sys.stderr, flush=True)

    @property
    def _left(self) -> int:
        return max(self.total - self.before - self.done, 0)

    @property
    def _end(self) -> str:
        return "\n" if self._left == 0 or not sys.stderr.isatty() else ""

    def line(self) -> str:
        """E.g. ``collect 120/320 · 1 crashed · 98.3 % success · 3 min left``."""
        answered = self.done - self.failed
        rate = f"{100 * self.successes / answered:.1f} % success" if answered else "no success rate yet"
        seconds = (time.monotonic() - self._start) / max(self.done, 1) * self._left
        left = f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"
        return f"{self.what} {self.before + self.done}/{self.total} · {self.failed} crashed · {rate} · {left}"
