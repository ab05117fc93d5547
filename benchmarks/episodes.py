"""MiniWoB episodes per hour: this package's process backend against AgentLab at its defaults, same agent, tasks and seeds.

    python benchmarks/episodes.py [--jobs 2] [--seeds 4] [--backend ray]

Each side runs in its own process; the time includes the browser's start and excludes the imports. Prints episodes per hour,
successes and the ratio, and whether both sides succeed on the same episodes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TASKS = (
    "click-test",
    "click-dialog-2",
    "click-option",
    "click-checkboxes",
    "enter-text",
    "login-user",
    "read-table",
    "choose-list",
)


def main() -> None:
    """Run both sides, each in a child process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=4, help="seeds 1 … N of each task")
    parser.add_argument("--backend", default="ray", help="AgentLab's: ray (its default), joblib or sequential")
    parser.add_argument("--side", choices=["ours", "agentlab"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(SIDES[arguments.side](arguments.jobs, arguments.seeds, arguments.backend)))
        return
    result = {side: _in_child(side) for side in ("ours", "agentlab")}
    for side, measured in result.items():
        rate = 3600 * len(measured["rewards"]) / measured["seconds"]
        solved = sum(reward > 0 for reward in measured["rewards"].values())
        print(
            f"{side:9} {rate:7.0f} episodes/hour  {solved}/{len(measured['rewards'])} solved  {measured['seconds']:.1f} s"
        )
    ours, theirs = result["ours"], result["agentlab"]
    print(
        f"ratio     {theirs['seconds'] / ours['seconds']:.2f}x, same successes: {ours['rewards'] == theirs['rewards']}"
    )


def _in_child(side: str) -> dict:
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(child.stdout.splitlines()[-1])


def _recipe(jobs: int, seeds: int, **changes: object) -> object:
    from agentmerge_hub.agents.recipe import Recipe

    return Recipe.model_validate(
        {
            "name": "benchmark",
            "candidates": [{"name": "expert", "scripted": True}],
            "agents": [{"name": "basic", "flags": {"preset": "basic", "action_space": "miniwob"}}],
            "episodes": [{"split": "all", "tasks": list(TASKS), "seeds": list(range(1, seeds + 1))}],
            "jobs": jobs,
        }
        | changes
    )


def ours(jobs: int, seeds: int, backend: str) -> dict:
    """This package's process backend with the waits of its MiniWoB recipes."""
    from agentmerge_hub.agents.backends import process_backend
    from agentmerge_hub.agents.plan import plan

    planned = plan(_recipe(jobs, seeds, wait_after_action=0.05, slow_mo=0))
    with tempfile.TemporaryDirectory() as root:
        start = time.monotonic()
        process_backend.run_episodes(
            [episode.run for episode in planned.distinct()],
            Path(root),
            jobs=jobs,
            step_seconds=120,
            screenshots=False,
            ended=lambda run: None,
        )
        return _measured(Path(root), time.monotonic() - start)


def agentlab(jobs: int, seeds: int, backend: str) -> dict:
    """AgentLab's Study at its defaults: environment arguments, screenshots, chat window."""
    from agentmerge_hub.agents.browser import chromium, environment
    from agentmerge_hub.agents.plan import SILENT, plan

    environment.prepare()
    from agentlab.experiments.study import Study

    chromium.prepare()
    planned = plan(_recipe(jobs, seeds, screenshots=True))
    lab = Study([planned.episodes[0].run.agent_args], planned.benchmark, logging_level_stdout=SILENT)
    with tempfile.TemporaryDirectory() as root:
        start = time.monotonic()
        lab.run(n_jobs=jobs, parallel_backend=backend, n_relaunch=1, exp_root=Path(root))
        return _measured(Path(root), time.monotonic() - start)


def _measured(root: Path, seconds: float) -> dict:
    from agentmerge_hub.traces.episode import read_episode
    from agentmerge_hub.traces.find import find_episodes

    episodes = [read_episode(found) for found in find_episodes([root])]
    return {
        "seconds": seconds,
        "rewards": {f"{e.task} {e.seed}": e.reward for e in sorted(episodes, key=lambda e: (e.task, e.seed))},
    }


SIDES = {"ours": ours, "agentlab": agentlab}

if __name__ == "__main__":
    main()
