"""A long study on MiniWoB: do memory, processes and temporary files stay bounded?

    python benchmarks/soak.py [--episodes 2000] [--jobs 2]

Runs episodes of the scripted expert with the process backend and samples the process tree. Prints one row at the start, at
each tenth and at the end: resident memory of all processes and of this one, processes, files in the temporary folder.
"""

import argparse
import os
import tempfile
import threading
import time
from pathlib import Path

import psutil

TASKS = ("click-test", "click-option", "enter-text", "click-checkboxes")


def main() -> None:
    """Run the study and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as traces, tempfile.TemporaryDirectory() as temporary:
        os.environ["TMPDIR"] = tempfile.tempdir = temporary
        try:
            soak(arguments.episodes, arguments.jobs, Path(traces), Path(temporary))
        finally:
            tempfile.tempdir = None


def soak(episodes: int, jobs: int, traces: Path, temporary: Path) -> None:
    """Run the episodes; samples are printed as they are taken."""
    from agentmerge_hub.agents.backends import process_backend
    from agentmerge_hub.agents.recipes.recipe import Recipe
    from agentmerge_hub.agents.status.run_status import read_status
    from agentmerge_hub.agents.study.plan import plan

    recipe = Recipe.model_validate(
        {
            "name": "soak",
            "candidates": [{"name": "expert", "scripted": True}],
            "agents": [{"name": "basic", "flags": {"preset": "basic", "action_space": "miniwob"}}],
            "episodes": [{"split": "all", "tasks": list(TASKS), "seeds": list(range(-(-episodes // len(TASKS))))}],
            "wait_after_action": 0.05,
            "slow_mo": 0,
        }
    )
    runs = [episode.run for episode in plan(recipe).distinct()][:episodes]
    statuses: list[str] = []
    peak = Peak()
    print("episodes  minutes  RSS of all  RSS of this  processes  temporary files", flush=True)
    start = time.monotonic()
    show(0, start, temporary)

    def ended(run: object) -> None:
        statuses.append(read_status(Path(run.exp_dir)).status)  # type: ignore[attr-defined]
        if len(statuses) % max(1, len(runs) // 10) == 0:
            show(len(statuses), start, temporary)

    with peak:
        process_backend.run_episodes(runs, traces, jobs=jobs, step_seconds=120, screenshots=False, ended=ended)
    show(len(statuses), start, temporary)
    done = statuses.count("done")
    print(f"{done} of {len(runs)} done; most at once: {peak.memory / 2**20:,.0f} MiB in {peak.processes} processes")


def show(episodes: int, start: float, temporary: Path) -> None:
    """Print one row."""
    memory, processes = measure()
    own = psutil.Process().memory_info().rss
    files = sum(len(names) for _, _, names in os.walk(temporary))
    print(
        f"{episodes:8}  {(time.monotonic() - start) / 60:7.1f}  {memory / 2**20:6,.0f} MiB  {own / 2**20:7,.0f} MiB"
        f"  {processes:9}  {files:15}",
        flush=True,
    )


def measure() -> tuple[int, int]:
    """Resident bytes and number of the processes of this tree. Shared pages count in each process that maps them."""
    memory = processes = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            memory += process.memory_info().rss
            processes += 1
        except psutil.NoSuchProcess:
            pass
    return memory, processes


class Peak:
    """The largest memory and number of processes while the block runs, sampled every two seconds."""

    def __init__(self) -> None:
        self.memory = self.processes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(2):
            memory, processes = measure()
            self.memory, self.processes = max(self.memory, memory), max(self.processes, processes)


if __name__ == "__main__":
    main()
