"""Run episodes on Ray, on this machine or on a cluster whose machines share the output folder."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from agentmerge_hub.agents import chromium, endpoint
from agentmerge_hub.agents.lab import ExpArgs
from agentmerge_hub.agents.runner import record_crash
from agentmerge_hub.errors import UserError, require

PASSED_ON = (endpoint.ADDRESS, endpoint.KEY, "VLLM_API_URL", "VLLM_API_KEY", "PLAYWRIGHT_BROWSERS_PATH")
PASSED_ON_PREFIX = "SNOW_INSTANCE"
"""What workers need of this process's environment: the endpoint, the instance, and here the browser."""


def run_all(
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
        runs: what is to be run; each gets a folder of its own.
        root: the study's folder, which every machine reaches under the same path.
        address: the cluster's, as `ray.init` takes it; empty starts Ray here.
        jobs: episodes at once.
        step_seconds: an episode that writes no step for so long is ended and recorded as an error.
        screenshots: whether to take them.
        ended: called after each episode, however it ended.

    Raises:
        UserError: if there is no cluster at the address.
    """
    require("agents", "ray")
    import ray

    names = [name for name in PASSED_ON if not (address and name == "PLAYWRIGHT_BROWSERS_PATH")]
    names += [name for name in os.environ if name.startswith(PASSED_ON_PREFIX)]
    if not address:
        chromium.prepare()
    passed = {name: os.environ[name] for name in names if name in os.environ}
    try:
        ray.init(
            address=address or None,
            num_cpus=None if address else jobs,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            runtime_env={"env_vars": passed},
        )
    except (ConnectionError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at {address!r}: {error}") from error
    try:
        _run(runs, root, jobs, step_seconds, ray.remote(max_retries=0)(_episode), screenshots, ended)
    finally:
        ray.shutdown()


def _run(
    runs: list, root: Path, jobs: int, step_seconds: float, task: object, screenshots: bool, ended: Callable
) -> None:
    import ray

    left, running = list(reversed(runs)), {}
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
            begun = Path(run.exp_dir, "experiment.log").exists()
            if begun and time.time() - max(since, Path(run.exp_dir).stat().st_mtime) > step_seconds:
                ray.cancel(reference, force=True)
                del running[reference]
                record_crash(run, f"HungError:\nno step within {step_seconds:g} seconds")
                ended(run)


def _episode(run: ExpArgs, screenshots: bool) -> None:
    """In the worker: AgentLab's own run, with one browser kept for the worker's next episodes."""
    from agentmerge_hub.agents import swift

    swift.speed_up(screenshots=screenshots)
    run.run()
