"""Write the summary of a run that could not write its own: its worker died, or it exceeded a time limit."""

import contextlib
import json
from pathlib import Path

from agentmerge_hub.agents.backends import activity
from agentmerge_hub.agents.browser.agentlab_api import ExpArgs, StepInfo
from agentmerge_hub.agents.status.run_status import ERROR_CLASS
from agentmerge_hub.traces.pickles.unpickle import Refused, load


def record_timeout(run: ExpArgs, step_seconds: float) -> None:
    """Write the summary of a run that exceeded its time limit.

    An action of the model that does not end is the model's failure: the run ends with reward 0, as AgentLab scores it. A
    request or a page that does not end is a failure of the infrastructure: the run has crashed.
    """
    folder = Path(run.exp_dir)
    doing = activity.read(folder)
    if doing == activity.ACTION:
        _write(run, truncated=True)
        path = folder / "summary_info.json"
        with contextlib.suppress(OSError):
            summary = json.loads(path.read_text(encoding="utf-8")) | {"cum_reward": 0, ERROR_CLASS: "hang"}
            path.write_text(json.dumps(summary, indent=4), encoding="utf-8")
    else:
        missing = "no answer of the endpoint" if doing in (activity.REQUEST, activity.WAIT) else "no step"
        record_crash(run, f"HungError:\n{missing} within {step_seconds:g} seconds")
    activity.remove(folder)


def record_crash(run: ExpArgs, problem: str) -> None:
    """Write the summary of a crashed run in AgentLab's format.

    Args:
        run: the run; its folder may be missing.
        problem: the error's class, a colon, and on the next line what happened.
    """
    message = f"Exception uncaught by agent or environment in task {run.env_args.task_name}.\n{problem}"
    _write(run, message=message)
    activity.remove(Path(run.exp_dir))


def _write(run: ExpArgs, *, message: str | None = None, truncated: bool = False) -> None:
    """AgentLab's summary of the steps that the run has saved."""
    folder = Path(run.exp_dir)
    steps: list[StepInfo] = []
    while (path := folder / f"step_{len(steps)}.pkl.gz").is_file():
        try:
            saved = load(path)[0]
            steps.append(
                StepInfo(step=len(steps), reward=saved.get("reward") or 0, stats=dict(saved.get("stats") or {}))
            )
        except (Refused, AttributeError, TypeError, ValueError):  # the last file may be incomplete
            break
    steps.append(StepInfo(step=len(steps), terminated=False, truncated=truncated))
    with contextlib.suppress(OSError):
        run.save_summary_info(steps, folder, message, None)
