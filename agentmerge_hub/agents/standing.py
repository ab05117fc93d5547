"""What stands in a study's folder: which runs are there, and how each ended. Nothing in a trace is executed."""

import json
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub.traces.unpickle import Refused, load


@dataclass(frozen=True)
class Run:
    """One run's folder. `status` is ``done``, ``crashed``, or ``missing`` where it was cut off."""

    folder: Path
    status: str
    reward: float = 0.0
    error: str = ""
    tokens: int = 0
    """Asked and answered."""


def found(root: Path) -> dict[str, Run]:
    """Runs under a folder by AgentLab's `exp_id`, which a study of ours derives from what the run depends on."""
    runs: dict[str, Run] = {}
    for path in sorted(root.glob("*/*/exp_args.pkl")):
        if path.parent.name.startswith(("_", ".")):  # AgentLab's mark for a run that was replaced
            continue
        try:
            identity = load(path)[0].get("exp_id")
        except (Refused, AttributeError):  # cut off while it was written: the run counts as missing
            continue
        run = read(path.parent)
        if identity not in runs or runs[identity].status != "done":
            runs[identity] = run
    return runs


def read(folder: Path) -> Run:
    """How the run in a folder ended, by its summary."""
    try:
        summary = json.loads((folder / "summary_info.json").read_text(encoding="utf-8"))
        reward = float(summary.get("cum_reward") or 0)
        tokens = sum(int(summary.get(f"stats.cum_{side}_tokens") or 0) for side in ("input", "output"))
    except (OSError, ValueError, AttributeError, TypeError):
        return Run(folder, "missing")
    if summary.get("err_msg"):
        lines = str(summary["err_msg"]).splitlines()
        return Run(folder, "crashed", reward, " ".join(lines[1:] or lines)[:300], tokens)
    ended = summary.get("terminated") or summary.get("truncated")
    return Run(folder, "done" if ended else "missing", reward, tokens=tokens)
