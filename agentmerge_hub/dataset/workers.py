"""Batches of episodes to parts: in this process, on all cores, or on Ray. Every way makes the same parts."""

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from agentmerge_hub.dataset.parts import Part, make_part
from agentmerge_hub.dataset.redaction import Allowed, Scanner
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.errors import UserError
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.find import Found


@dataclass(frozen=True)
class Work:
    """What every worker needs beside its batch. The traces are read from the paths given, wherever the worker runs."""

    settings: Settings
    tokenizer: str
    chat_template: Path | None = None

    def __call__(self, batch: Sequence[Found]) -> Part:
        scanner = _scanner(tuple(self.settings.allow.items()))
        return make_part(batch, self.settings, self.load_tokenizer(), scanner)

    def load_tokenizer(self) -> ChatTokenizer:
        """Loaded once a process.

        Raises:
            UserError: as ChatTokenizer.
        """
        return _tokenizer(self.tokenizer, self.chat_template)


_tokenizer = cache(ChatTokenizer)


@cache
def _scanner(allowed: tuple[tuple[str, str], ...]) -> Scanner:
    return Scanner(Allowed(allowed))


def run(work: Work, batches: list[Sequence[Found]], workers: int) -> Iterator[tuple[Sequence[Found], Part]]:
    """Parts in the order of their batches.

    Raises:
        UserError: if a worker process is killed, which too little memory does.
    """
    if min(workers, len(batches)) <= 1:
        yield from ((batch, work(batch)) for batch in batches)
        return
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes share the cores already
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_without_torch) as pool:
        try:
            yield from zip(batches, pool.map(work, batches))
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, probably for want of memory: run the same command again with fewer --workers; "
                "what was finished is kept"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _without_torch() -> None:
    """In a process of its own that needs a tokenizer only: transformers would import torch where it is installed, which
    takes 2 s and 300 MB."""
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # it would tell every user that torch is missing
    sys.modules.setdefault("torch", None)


def run_on_ray(work: Work, batches: list[Sequence[Found]], workers: int) -> Iterator[tuple[Sequence[Found], Part]]:
    """The same on a Ray cluster (``RAY_ADDRESS``), or on a local one of `workers` processes.

    Raises:
        UserError: if a worker does not see the traces or the tokenizer: their paths, and this package, have to be there on
            every machine.
    """
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    started = not ray.is_initialized()
    if started:
        address = os.environ.get("RAY_ADDRESS")
        local = {} if address else {"num_cpus": workers, "include_dashboard": False}
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)
    try:
        remote = ray.remote(_on_ray)
        shared = ray.put(_with_whole_paths(work))
        ahead = max(2 * workers, 2)
        waiting = [remote.remote(shared, _absolute(batch)) for batch in batches[:ahead]]
        for place, batch in enumerate(batches):
            made = ray.get(waiting[place])
            if isinstance(made, str):
                raise UserError(made)
            yield batch, made
            waiting[place] = None
            if place + ahead < len(batches):
                waiting.append(remote.remote(shared, _absolute(batches[place + ahead])))
    finally:
        if started:
            ray.shutdown()


def _on_ray(work: Work, batch: Sequence[Found]) -> Part | str:
    """The part, or the sentence of what this worker does not find: Ray would wrap an exception in its traceback."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    here = f"the Ray worker on {socket.gethostname()}"
    for found in batch:
        if not found.folder.exists():
            return (
                f"{here} sees no {found.folder}: with --ray the traces have to lie at the same path on every machine, "
                "as on a shared disk"
            )
    try:
        return work(batch)
    except UserError as error:
        return f"{here}: {error}"


def _absolute(batch: Sequence[Found]) -> list[Found]:
    """A worker's current folder need not be ours."""
    return [replace(found, folder=found.folder.absolute()) for found in batch]


def _with_whole_paths(work: Work) -> Work:
    tokenizer = str(Path(work.tokenizer).absolute()) if Path(work.tokenizer).is_dir() else work.tokenizer
    return replace(work, tokenizer=tokenizer, chat_template=work.chat_template and work.chat_template.absolute())
