"""Run episodes in worker processes, each with one browser. A worker that hangs or dies is replaced and the study goes on.

Every episode is AgentLab's own `ExpArgs.run`, which writes the trace. This module assigns episodes to workers and limits
their time.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.backends import activity
from agentmerge_hub.agents.backends.child_process import end_with_parent
from agentmerge_hub.agents.backends.run_summary import record_crash, record_timeout
from agentmerge_hub.agents.browser import chromium
from agentmerge_hub.agents.browser.agentlab_api import ExpArgs
from agentmerge_hub.agents.status import run_status
from agentmerge_hub.errors import UserError, os_error_sentence
from agentmerge_hub.files.scratch import scratch_folder

# A fork keeps the imports, which take seconds; outside of Linux it is not safe with a browser's libraries.
_PROCESSES: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


EPISODES_OF_A_WORKER = 200
"""A worker and its browser are replaced after so many episodes, so that their memory stays bounded."""


def run_episodes(
    runs: list[ExpArgs],
    root: Path,
    *,
    jobs: int,
    step_seconds: float,
    screenshots: bool,
    ended: Callable[[ExpArgs], None],
) -> None:
    """Run episodes, several at once.

    Args:
        runs: the episodes; each gets its own folder.
        root: the study's folder.
        jobs: episodes at once.
        step_seconds: time limit of one request, of one action and of one observation.
        screenshots: whether to take them.
        ended: called after each episode, however it ended.
    """
    chromium.prepare()
    _import_for_workers()
    for args in {id(run.agent_args): run.agent_args for run in runs}.values():
        args.prepare()
    left = list(reversed(runs))
    workers: list[_Worker] = []
    with scratch_folder("episodes") as scratch:
        try:
            while left or any(worker.run for worker in workers):
                while left and len(workers) < jobs:
                    workers.append(_Worker.start(screenshots, scratch))
                for worker in workers:
                    if left and worker.run is None:
                        worker.start_run(left.pop(), root)
                wait([worker.pipe for worker in workers], timeout=1)
                for worker in list(workers):
                    run = worker.run
                    if run is None or not worker.poll(step_seconds):
                        continue
                    ended(run)
                    if not worker.usable:
                        worker.kill()
                        workers.remove(worker)
        finally:
            for worker in workers:
                worker.kill()


def _import_for_workers() -> None:
    """Import before the fork what every episode uses: the imports take seconds."""
    import agentlab.llm.llm_utils  # noqa: F401
    import openai  # noqa: F401
    import tiktoken

    tiktoken.encoding_for_model("gpt-4")


@dataclass
class _Worker:
    """A process that runs one episode after another, seen from the parent."""

    process: Any
    pipe: Connection
    scratch: Path
    """Temporary files of the worker and its browser."""
    run: ExpArgs | None = None
    since: float = 0.0
    usable: bool = True
    episodes: int = 0

    @classmethod
    def start(cls, screenshots: bool, scratch: Path) -> "_Worker":
        own = Path(tempfile.mkdtemp(dir=scratch))
        parent_end, worker_end = _PROCESSES.Pipe()
        process = _PROCESSES.Process(target=_run_worker, args=(worker_end, os.getpid(), screenshots, own), daemon=False)
        process.start()
        worker_end.close()
        return cls(process, parent_end, own)

    def start_run(self, run: ExpArgs, root: Path) -> None:
        run.prepare(root)
        self.run, self.since = run, time.time()
        self.pipe.send(run)

    def poll(self, step_seconds: float) -> bool:
        """Whether the episode has ended, by itself, with its process, or at its time limit."""
        run = self.run
        assert run is not None
        try:
            if self.pipe.poll():
                problem = self.pipe.recv()
                self.episodes += 1
                if problem:  # the disk is full or read-only: not this episode's fault; started again, the study goes on
                    raise UserError(problem)
                # After a failure the browser's state is unknown: the next episode gets a new process.
                self.usable = (
                    run_status.read_status(Path(run.exp_dir)).status == "done" and self.episodes < EPISODES_OF_A_WORKER
                )
            elif activity.is_overdue(Path(run.exp_dir), self.since, step_seconds):
                self.usable = False
                self.kill()
                record_timeout(run, step_seconds)
            else:
                return False
        except (EOFError, ConnectionError):
            self.usable = False
            self.kill()
            record_crash(run, "WorkerError:\nthe worker process died")
        self.run = None
        return True

    def kill(self) -> None:
        """Kill the process and its browser, which are in one process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.pipe.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


def _run_worker(pipe: Connection, parent: int, screenshots: bool, scratch: Path) -> None:
    """The worker process: run the episodes that arrive through the pipe while the parent lives."""
    os.setpgid(0, 0)
    end_with_parent()
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    # A fork does not copy the threads of a tokenizer's pool; the child would wait for them forever.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from agentmerge_hub.agents.browser import browsergym_patches

    with contextlib.suppress(EOFError, ConnectionError):
        while os.getppid() == parent:  # the pipe stays open after a killed parent: its other workers hold the end too
            if pipe.poll(2):
                run = pipe.recv()
                problem = None
                try:
                    with activity.reporting(Path(run.exp_dir)):
                        browsergym_patches.apply(screenshots=screenshots)
                        run.run()
                except OSError as error:  # of AgentLab's files beside the episode; it records the episode's own errors
                    problem = os_error_sentence(error)
                pipe.send(problem)
