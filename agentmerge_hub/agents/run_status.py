"""A study's folder → the status of each run in it. Pickles are read with an allow-list; nothing in a trace is executed."""

import json
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub.traces.unpickle import Refused, load


@dataclass(frozen=True)
class RunStatus:
    """One run's folder. `status` is ``done``, ``crashed``, or ``missing`` where the run was interrupted."""

    folder: Path
    status: str
    reward: float = 0.0
    error: str = ""
    tokens: int = 0
    """Prompt and completion tokens."""


def list_runs(root: Path) -> dict[str, RunStatus]:
    """The runs under a folder by AgentLab's `exp_id`, which `plan` derives from what the run depends on."""
    runs: dict[str, RunStatus] = {}
    for path in sorted(root.glob("*/*/exp_args.pkl")):
        if path.parent.name.startswith(("_", ".")):  # AgentLab's mark for a run that was replaced
            continue
        try:
            exp_id = load(path)[0].get("exp_id")
        except (Refused, AttributeError):  # the file is incomplete: the run counts as missing
            continue
        run = read_status(path.parent)
        if exp_id not in runs or runs[exp_id].status != "done":
            runs[exp_id] = run
    return runs


def read_status(folder: Path) -> RunStatus:
    """The status of the run in a folder, from its summary."""
    try:
        summary = json.loads((folder / "summary_info.json").read_text(encoding="utf-8"))
        reward = float(summary.get("cum_reward") or 0)
        tokens = sum(int(summary.get(f"stats.cum_{side}_tokens") or 0) for side in ("input", "output"))
    except (OSError, ValueError, AttributeError, TypeError):
        return RunStatus(folder, "missing")
    if summary.get("err_msg"):
        lines = str(summary["err_msg"]).splitlines()
        return RunStatus(folder, "crashed", reward, " ".join(lines[1:] or lines)[:300], tokens)
    ended = summary.get("terminated") or summary.get("truncated")
    return RunStatus(folder, "done" if ended else "missing", reward, tokens=tokens)
