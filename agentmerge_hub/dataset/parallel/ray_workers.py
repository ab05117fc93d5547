"""Turn batches of episodes into partial tables on a Ray cluster."""

import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentmerge_hub.dataset.parallel.partial_tables import PackedTables
from agentmerge_hub.dataset.parallel.workers import Batch, WorkerConfig
from agentmerge_hub.errors import UserError
from agentmerge_hub.traces.limits import shared_bytes


def run_on_ray(config: WorkerConfig, batches: list[Batch], workers: int) -> Iterator[tuple[Batch, PackedTables]]:
    """As workers.run, on the Ray cluster at ``RAY_ADDRESS``, or on a local one of `workers` processes.

    Raises:
        UserError: if a worker cannot read the traces or the tokenizer: every machine needs them at the same path, and this
            package.
    """
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    started = not ray.is_initialized()
    if started:
        address = os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    try:
        remote = ray.remote(_process)
        shared = ray.put(replace(_with_absolute_paths(config), max_bytes=shared_bytes(workers)))
        n_ahead = max(2 * workers, 2)
        pending = [remote.remote(shared, _absolute(batch)) for batch in batches[:n_ahead]]
        for index, batch in enumerate(batches):
            result = ray.get(pending.pop(0))
            if isinstance(result, str):
                raise UserError(result)
            yield from ((part.episodes_in(batch), part) for part in result)
            if index + n_ahead < len(batches):
                pending.append(remote.remote(shared, _absolute(batches[index + n_ahead])))
    finally:
        if started:
            ray.shutdown()


def _process(config: WorkerConfig, batch: Batch) -> list[PackedTables] | str:
    """The partial tables of a batch, or an error message: Ray would wrap an exception in its traceback."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    worker = f"the Ray worker on {socket.gethostname()}"
    for found in batch:
        if not found.folder.exists():
            return (
                f"{worker} cannot find {found.folder}: with --ray the traces must be at the same path on every machine, "
                "as on a shared disk"
            )
    try:
        return list(config.process(batch))
    except UserError as error:
        return f"{worker}: {error}"


def _absolute(batch: Batch) -> Batch:
    """The batch with absolute paths: a worker can run in another current folder."""
    return [replace(found, folder=found.folder.absolute()) for found in batch]


def _with_absolute_paths(config: WorkerConfig) -> WorkerConfig:
    tokenizer = str(Path(config.tokenizer).absolute()) if Path(config.tokenizer).is_dir() else config.tokenizer
    return replace(config, tokenizer=tokenizer, chat_template=config.chat_template and config.chat_template.absolute())
