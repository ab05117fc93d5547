"""MiniWoB episodes per hour: this package's process backend against AgentLab at its defaults, same agent, tasks and seeds.

    python benchmarks/episodes.py [--episodes 32] [--turns 3] [--jobs 2] [--backend ray]

The sides run in turns, each in its own process; the time includes the browser's start and excludes the imports. Prints
episodes per hour of each turn, the ratio with its range over the turns, and whether both sides succeed on the same episodes.
"""

import argparse
import json
import statistics
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
    parser.add_argument("--episodes", type=int, default=32, help=f"a turn; a multiple of {len(TASKS)}, the tasks")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--backend", default="ray", help="AgentLab's: ray (its default), joblib or sequential")
    parser.add_argument("--side", choices=["ours", "agentlab"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.episodes < 1 or arguments.episodes % len(TASKS) or arguments.turns < 1:
        parser.error(f"--episodes must be a multiple of {len(TASKS)}, and --turns at least 1")
    if arguments.side:
        print(json.dumps(SIDES[arguments.side](arguments.jobs, arguments.episodes // len(TASKS), arguments.backend)))
        return
    turns = []
    for turn in range(1, arguments.turns + 1):
        result = {side: _in_child(side) for side in SIDES}
        for side, measured in result.items():
            rewards = measured["rewards"].values()
            print(
                f"turn {turn}  {side:9} {3600 * len(rewards) / measured['seconds']:6,.0f} episodes/hour  "
                f"{sum(reward > 0 for reward in rewards)}/{len(rewards)} solved  {measured['seconds']:.1f} s",
                flush=True,
            )
        turns.append(result)
    for side in SIDES:
        rates = [3600 * len(turn[side]["rewards"]) / turn[side]["seconds"] for turn in turns]
        print(f"{side:9} {_spread(rates, ',.0f')} episodes/hour")
    ratios = [turn["agentlab"]["seconds"] / turn["ours"]["seconds"] for turn in turns]
    same = all(turn["ours"]["rewards"] == turn["agentlab"]["rewards"] for turn in turns)
    print(f"ratio     {_spread(ratios, '.2f')}, same successes: {same}")


def _spread(values: list[float], form: str) -> str:
    """Median, least and greatest value."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _in_child(side: str) -> dict:
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(child.stdout.splitlines()[-1])


def _recipe(jobs: int, seeds: int, **changes: object) -> object:
    from agentmerge_hub.agents.recipes.recipe import Recipe

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
    from agentmerge_hub.agents.study.plan import plan

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
    from agentmerge_hub.agents.study.plan import SILENT, plan

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
