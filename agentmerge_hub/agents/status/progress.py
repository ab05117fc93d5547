"""Progress of a running study: a line on stderr, the budget, and a stop when every episode crashes."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentmerge_hub.agents.recipes.recipe import Recipe
from agentmerge_hub.agents.status import run_status
from agentmerge_hub.errors import UserError
from agentmerge_hub.plural import counted

if TYPE_CHECKING:
    from agentmerge_hub.agents.browser.agentlab_api import ExpArgs

GIVE_UP_AFTER = 6
"""Crashes in a row after which the study stops: the endpoint or the browser is probably gone."""

LINE_SECONDS = 15
"""Seconds between two lines where the output is no terminal."""


class BudgetSpent(Exception):
    """The recipe's budget is used up. Finished episodes are kept."""


class Progress:
    """Counts episodes as they end and prints a progress line on stderr."""

    def __init__(self, recipe: Recipe, total: int, left: int, tokens: int, *, verb: str, start: float) -> None:
        self._recipe, self._total, self._left, self._verb = recipe, total, left, verb
        self._start, self._first = start, time.monotonic()
        self._printed = self._first
        self._tokens = tokens  # of earlier runs
        self._ended = self._crashed = self._succeeded = self._crashes = 0

    def ended(self, run: "ExpArgs") -> None:
        """Note one episode.

        Raises:
            BudgetSpent: if the recipe's hours or tokens are used up.
            UserError: if the last episodes all crashed.
        """
        outcome = run_status.read_status(Path(run.exp_dir))
        crashed = outcome.status != "done"
        self._ended += 1
        self._left -= 1
        self._crashed += crashed
        self._succeeded += outcome.reward > 0 and not crashed
        self._tokens += outcome.tokens
        self._print()
        self._crashes = self._crashes + 1 if crashed else 0
        if self._crashes >= GIVE_UP_AFTER:
            raise UserError(
                f"the last {GIVE_UP_AFTER} episodes crashed ({outcome.error or 'no message'}): fix the cause and run the "
                "same command again to continue"
            )
        self._check_budget()

    def _check_budget(self) -> None:
        hours, tokens = self._recipe.max_hours, self._recipe.max_tokens
        if self._left and hours is not None and time.monotonic() - self._start > 3600 * hours:
            raise BudgetSpent(
                f"max_hours {hours:g} is used up, {counted(self._left, 'episode is', 'episodes are')} left: run the same command again to continue"
            )
        if self._left and tokens is not None and self._tokens > tokens:
            raise BudgetSpent(
                f"max_tokens {tokens} is used up, {counted(self._left, 'episode is', 'episodes are')} left: raise it and run the command again to continue"
            )

    def _print(self) -> None:
        terminal = sys.stderr.isatty()
        if not terminal and self._left and time.monotonic() - self._printed < LINE_SECONDS:
            return
        self._printed = time.monotonic()
        start, end = ("\r\x1b[K", "" if self._left else "\n") if terminal else ("", "\n")
        print(f"{start}{self.line()}", end=end, file=sys.stderr, flush=True)

    def line(self) -> str:
        """E.g. ``collect 120/320 · 1 crashed · 200 left · 98.3 % success · about 3 min``."""
        answered = self._ended - self._crashed
        rate = f"{100 * self._succeeded / answered:.1f} % success" if answered else "no success rate yet"
        seconds = (time.monotonic() - self._first) / max(self._ended, 1) * self._left
        time_left = f"about {seconds / 60:.0f} min" if seconds > 90 else f"about {seconds:.0f} s"
        done = f"{self._total - self._left}/{self._total}"
        return f"{self._verb} {done} · {self._crashed} crashed · {self._left} left · {rate} · {time_left}"
