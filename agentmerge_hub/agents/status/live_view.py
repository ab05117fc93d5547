"""`agentmerge watch`: the state of a study as a table in the terminal, from the files that the study writes."""

import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agentmerge_hub import manifest
from agentmerge_hub.agents.status.run_status import RunStatus, list_runs
from agentmerge_hub.agents.status.study_info import StudyInfo, read_info
from agentmerge_hub.files import locks

RATE_EPISODES = 50
"""The time left is estimated from the last episodes that ended."""


@dataclass
class StudyState:
    """Counts of a study at one moment. `cost` is in dollars, None where the recipe names no price."""

    total: int
    done: int = 0
    crashed: int = 0
    succeeded: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    seconds_left: float | None = None

    @property
    def left(self) -> int:
        return max(0, self.total - self.done - self.crashed)


def watch(out: Path, *, seconds: float = 2.0, console: Console | None = None) -> None:
    """Show a study until it ends or stops, or until Ctrl-C, which leaves it running.

    Args:
        out: the study's folder.
        seconds: time between two updates.
        console: where to print; the terminal by default.

    Raises:
        UserError: if the folder is not a study's.
    """
    console = console or Console()
    info = read_info(out)
    ended: dict[Path, tuple[str, RunStatus]] = {}
    if console.is_terminal and _is_running(out):
        first = _render(out, _state(out, info, ended))
        view = Live(first, console=console, refresh_per_second=1, transient=True)
        with contextlib.suppress(KeyboardInterrupt), view as live:
            while _is_running(out):
                time.sleep(seconds)
                info = read_info(out)
                live.update(_render(out, _state(out, info, ended)))
    state = _state(out, info, ended)
    last_line = _last_line(out, state)
    console.print(_render(out, state))
    console.print(last_line, soft_wrap=True, highlight=False)


def _state(out: Path, info: StudyInfo, ended: dict[Path, tuple[str, RunStatus]]) -> StudyState:
    """The state now. `ended` caches the runs that cannot change any more."""
    state = StudyState(info.episodes, cost=0.0 if info.prices else None)
    root = out / "traces" if info.verb == "evaluate" else out
    times = []
    runs = list_runs(root, ended).values()
    spent = [(run.agent, run.prompt_tokens, run.completion_tokens) for run in runs]
    spent += [(agent, tokens.prompt, tokens.completion) for agent, tokens in info.removed.items()]
    for agent, prompt_tokens, completion_tokens in spent:
        state.prompt_tokens += prompt_tokens
        state.completion_tokens += completion_tokens
        if state.cost is not None and (price := info.prices.get(agent)):
            state.cost += (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6
    for run in runs:
        if run.status == "missing":
            continue
        state.done += run.status == "done"
        state.crashed += run.status == "crashed"
        state.succeeded += run.status == "done" and run.reward > 0
        state.errors[run.error_class] += 1
        times.append(run.ended)
    del state.errors[""]
    recent = sorted(times)[-RATE_EPISODES:]
    if len(recent) > 1 and recent[-1] > recent[0]:
        state.seconds_left = state.left * (recent[-1] - recent[0]) / (len(recent) - 1)
    return state


def _is_running(out: Path) -> bool:
    """Whether a process holds the study's lock."""
    path = out / locks.NAME
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _render(out: Path, state: StudyState) -> RenderableType:
    table = Table(title=f"Study {out}", title_justify="left", show_header=False)
    ended = state.done + state.crashed
    table.add_row("episodes", f"{ended} of {state.total} ({state.crashed} crashed, {state.left} left)")
    table.add_row(
        "success", f"{state.succeeded} of {state.done} ({state.succeeded / state.done:.1%})" if state.done else "–"
    )
    table.add_row("errors", ", ".join(f"{name} {number}" for name, number in state.errors.most_common()) or "none")
    table.add_row("tokens", f"{state.prompt_tokens:,} prompt, {state.completion_tokens:,} completion")
    if state.cost is not None:
        table.add_row("cost", f"${state.cost:,.2f}")
    if state.left and state.seconds_left is not None and _is_running(out):
        table.add_row("time left", _duration(state.seconds_left))
    return Group(table, Text())


def _last_line(out: Path, state: StudyState) -> str:
    finished = (out / manifest.NAME).is_file()
    counts = manifest.read(out)["counts"] if finished else {}
    numbers = {
        "done": counts.get("done", state.done),
        "crashed": counts.get("crashed", state.crashed),
        "missing": counts.get("missing", state.left),
    }
    line = " · ".join(f"{name} {number}" for name, number in numbers.items())
    if finished:
        return line
    return f"{line} · {'running' if _is_running(out) else 'not running: run the same command again to continue'}"


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return (
        f"about {hours} h {rest // 60} min" if hours else f"about {rest // 60} min" if rest >= 90 else f"about {rest} s"
    )
