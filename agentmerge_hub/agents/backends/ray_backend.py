"""Run episodes on Ray, on this machine or on a cluster whose machines share the output folder."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.backends import activity
from agentmerge_hub.agents.backends.run_summary import record_crash, record_timeout
from agentmerge_hub.agents.browser import chromium
from agentmerge_hub.agents.browser.agentlab_api import ExpArgs
from agentmerge_hub.agents.serving import endpoint
from agentmerge_hub.errors import UserError, require

WORKER_VARIABLES = (endpoint.ADDRESS, endpoint.KEY, "VLLM_API_URL", "VLLM_API_KEY", "PLAYWRIGHT_BROWSERS_PATH")
WORKER_PREFIX = "SNOW_INSTANCE"
"""Environment variables that workers get: the endpoint, the ServiceNow instance, and on this machine the browser."""


def run_episodes(
    runs: list[ExpArgs],
    root: Path,
    *,
    address: str,
    jobs: int,
    step_seconds: float,
    screenshots: bool,
    ended: Callable[[ExpArgs], None],
) -> None:
    """Run episodes as Ray tasks, `jobs` at once.

    Args:
        runs: the episodes; each gets its own folder.
        root: the study's folder, under the same path on every machine.
        address: the cluster's, as `ray.init` takes it; empty starts Ray on this machine.
        jobs: episodes at once.
        step_seconds: time limit of one request, of one action and of one observation.
        screenshots: whether to take them.
        ended: called after each episode, however it ended.

    Raises:
        UserError: if no cluster answers at the address.
    """
    require("agents", "ray")
    import ray

    names = [name for name in WORKER_VARIABLES if not (address and name == "PLAYWRIGHT_BROWSERS_PATH")]
    names += [name for name in os.environ if name.startswith(WORKER_PREFIX)]
    if not address:
        chromium.prepare()
    try:
        ray.init(
            address=address or None,
            num_cpus=None if address else jobs,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": {name: os.environ[name] for name in names if name in os.environ}},
        )
    except (ConnectionError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at {address!r}: {error}") from error
    try:
        _run(runs, root, jobs, step_seconds, ray.remote(max_retries=0)(_run_episode), screenshots, ended)
    finally:
        ray.shutdown()


def _run(runs: list, root: Path, jobs: int, step_seconds: float, task: Any, screenshots: bool, ended: Callable) -> None:
    import ray

    left = list(reversed(runs))
    running: dict[Any, tuple[ExpArgs, float]] = {}
    while left or running:
        while left and len(running) < jobs:
            run = left.pop()
            run.prepare(root)
            running[task.remote(run, screenshots)] = (run, time.time())
        done, waiting = ray.wait(list(running), num_returns=1, timeout=2)
        for reference in done:
            run, _ = running.pop(reference)
            try:
                ray.get(reference)
            except ray.exceptions.RayError as error:
                record_crash(run, f"WorkerError:\n{type(error).__name__}")
            ended(run)
        for reference in waiting:
            run, since = running[reference]
            started = Path(run.exp_dir, "experiment.log").exists()
            if started and activity.is_overdue(Path(run.exp_dir), since, step_seconds):
                ray.cancel(reference, force=True)
                del running[reference]
                record_timeout(run, step_seconds)
                ended(run)


def _run_episode(run: ExpArgs, screenshots: bool) -> None:
    """In the worker: AgentLab's own run; the worker keeps its browser for its next episodes."""
    from agentmerge_hub.agents.browser import browsergym_patches

    browsergym_patches.apply(screenshots=screenshots)
    with activity.reporting(Path(run.exp_dir)):
        run.run()
