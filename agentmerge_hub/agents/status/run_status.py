"""A study's folder → the status of each run in it. Pickles are read with an allow-list; nothing in a trace is executed."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentmerge_hub.traces.pickles.unpickle import Refused, load

ERROR_CLASS = "agentmerge_error_class"
"""Key in a run's summary for a failure that AgentLab has no field for."""

ANSWERED_AS = "answered_as "
"""Beginning of the statistics of a step that name a model that answered in place of the one that was asked."""

_EXCEPTION = re.compile(r"\b\w*(?:Error|Exception|Interrupt)\b")


@dataclass(frozen=True)
class RunStatus:
    """One run's folder. `status` is ``done``, ``crashed``, or ``missing`` where the run was interrupted."""

    folder: Path
    status: str
    reward: float = 0.0
    error: str = ""
    """Message of a crash."""
    error_class: str = ""
    """The exception of a crash. Of a done run, the model's failure: ``parse`` (no answer could be parsed), ``overflow`` (the
    prompt exceeds the window) or ``hang`` (an action did not end)."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    agent: str = ""
    """AgentLab's agent name."""
    ended: float = 0.0
    """time.time() when the summary was written."""
    answered_as: tuple[str, ...] = ()
    """Names under which an endpoint answered, besides the one that was asked for."""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def list_runs(root: Path, ended: dict[Path, tuple[str, RunStatus]] | None = None) -> dict[str, RunStatus]:
    """The runs under a folder by AgentLab's `exp_id`, which `plan` derives from what the run depends on.

    Args:
        root: folder of AgentLab's studies.
        ended: cache for repeated calls; runs that have ended are added and not read again.
    """
    ended = {} if ended is None else ended
    runs: dict[str, RunStatus] = {}
    for path in sorted(root.glob("*/*/exp_args.pkl")):
        if path.parent.name.startswith(("_", ".")):  # AgentLab's mark for a run that was replaced
            continue
        if path.parent in ended:
            exp_id, run = ended[path.parent]
        else:
            try:
                args = load(path)[0]
                exp_id, agent = args.get("exp_id"), (args.get("agent_args") or {}).get("agent_name")
            except (Refused, AttributeError):  # the file is incomplete: the run counts as missing
                continue
            run = replace(read_status(path.parent), agent=agent if isinstance(agent, str) else "")
            if run.status != "missing":
                ended[path.parent] = exp_id, run
        if exp_id not in runs or runs[exp_id].status != "done":
            runs[exp_id] = run
    return runs


def read_status(folder: Path) -> RunStatus:
    """The status of the run in a folder, from its summary."""
    path = folder / "summary_info.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        ended = path.stat().st_mtime
        reward = float(summary.get("cum_reward") or 0)
        prompt_tokens, completion_tokens = _stat(summary, "input_tokens"), _stat(summary, "output_tokens")
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return RunStatus(folder, "missing")
    status, error, error_class = "missing", "", ""
    if summary.get("err_msg"):
        lines = str(summary["err_msg"]).splitlines()
        status, error = "crashed", " ".join(lines[1:] or lines)[:300]
        names = _EXCEPTION.findall(error)
        error_class = names[0] if names else "Error"
    elif summary.get("terminated") or summary.get("truncated"):
        status, error_class = "done", _model_failure(summary)
    prefix = f"stats.cum_{ANSWERED_AS}"
    others = tuple(sorted(key.removeprefix(prefix) for key in summary if key.startswith(prefix)))
    return RunStatus(
        folder, status, reward, error, error_class, prompt_tokens, completion_tokens, ended=ended, answered_as=others
    )


def _model_failure(summary: dict[str, Any]) -> str:
    if isinstance(summary.get(ERROR_CLASS), str):
        return summary[ERROR_CLASS]
    if _stat(summary, "overflow"):
        return "overflow"
    return "parse" if _stat(summary, "busted_retry") else ""


def _stat(summary: dict[str, Any], name: str) -> int:
    return int(summary.get(f"stats.cum_{name}") or 0)
