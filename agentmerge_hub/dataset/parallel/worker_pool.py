"""Run batches on worker processes that can be ended: an episode that stalls or kills its process is set aside."""

import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import connection, get_context
from typing import Any

from agentmerge_hub.dataset.parallel.partial_tables import PackedTables
from agentmerge_hub.dataset.parallel.workers import Batch, WorkerConfig, prepare_process
from agentmerge_hub.errors import UserError
from agentmerge_hub.traces.limits import EPISODE_SECONDS, shared_bytes

GRACE_SECONDS = 60
"""After its time limit an episode ends itself; its process is ended if it does not, as in a call into a library."""

_ENDED = "its worker process ended twice while it processed this episode, as it does when memory runs out"
_STALLED = "the episode takes longer than its time limit, and its worker process had to be ended"


@dataclass
class _Worker:
    """One process and what it works on."""

    process: Any
    pipe: connection.Connection
    method: str
    """``fork`` or ``spawn``."""
    batch: int | None = None
    episode: int | None = None
    since: float = 0.0


@dataclass
class _State:
    """What is known of the batches."""

    batches: list[Batch]
    failed: dict[int, dict[int, str]] = field(default_factory=dict)
    """Batch → episode → why it is set aside."""
    deaths: dict[tuple[int, int | None], int] = field(default_factory=dict)
    """Batch and episode → how often a process ended there."""
    waiting: list[int] = field(default_factory=list)
    arrived: list[tuple[Batch, PackedTables]] = field(default_factory=list)


def run(config: WorkerConfig, batches: list[Batch], workers: int) -> Iterator[tuple[Batch, PackedTables]]:
    """Partial tables, each with its episodes, in any order: as they arrive, so that none wait in memory. A single worker is a
    process too, so that what an episode does to it does not end the build.

    Raises:
        UserError: a worker reports one, or processes end before they reach an episode.
    """
    state = _State(batches, waiting=list(range(len(batches))))
    workers = min(workers, len(batches))
    config = replace(config, max_bytes=shared_bytes(max(workers, 1)))
    method = _start_method(workers)
    if method == "fork":
        config.load_tokenizer()
    pool = [_start(config, method) for _ in range(workers)]
    try:
        while state.waiting or any(worker.batch is not None for worker in pool):
            _dispatch(pool, state)
            ready = connection.wait([worker.pipe for worker in pool], timeout=1.0)
            for place, worker in enumerate(pool):
                if worker.pipe in ready and not _receive(worker, state):
                    pool[place] = _replace(worker, state, config)
                elif worker.batch is not None and time.monotonic() - worker.since > EPISODE_SECONDS + GRACE_SECONDS:
                    pool[place] = _replace(worker, state, config, stalled=True)
                while state.arrived:
                    yield state.arrived.pop()
    finally:
        for worker in pool:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def _start_method(n_processes: int) -> str:
    """A copy of this process has the tokenizer loaded: it starts in 0.02 s, a new one in 2 s. Several new ones take less memory
    together, because they lack what this process imported."""
    return "fork" if n_processes == 1 and sys.platform == "linux" else "spawn"


def _start(config: WorkerConfig, method: str) -> _Worker:
    context = get_context(method)
    ours, theirs = context.Pipe()
    inherited = [ours] if method == "fork" else []
    process = context.Process(target=_work, args=(theirs, config, inherited), daemon=True)  # type: ignore[attr-defined]  # of every context
    process.start()
    theirs.close()
    return _Worker(process, ours, method)


def _dispatch(pool: list[_Worker], state: _State) -> None:
    """Give the next batches to idle workers."""
    for worker in pool:
        if worker.batch is None and state.waiting:
            worker.batch, worker.episode, worker.since = state.waiting.pop(0), None, time.monotonic()
            try:
                worker.pipe.send((state.batches[worker.batch], state.failed.get(worker.batch, {})))
            except OSError:  # the process has ended: its pipe reports it
                continue


def _receive(worker: _Worker, state: _State) -> bool:
    """Read one message of a worker. False if its process has ended."""
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        return False
    if isinstance(message, int):
        worker.episode, worker.since = message, time.monotonic()
    elif isinstance(message, UserError):
        raise message
    elif message is None:
        worker.batch = worker.episode = None
    elif worker.batch is not None:
        state.arrived.append((message.episodes_in(state.batches[worker.batch]), message))
    return True


def _replace(worker: _Worker, state: _State, config: WorkerConfig, stalled: bool = False) -> _Worker:
    """A new process for one that ended or stalled. Its batch is repeated, without the episode that ends a process twice."""
    worker.process.kill()
    worker.process.join()
    worker.pipe.close()
    if worker.batch is not None:
        key = (worker.batch, worker.episode)
        state.deaths[key] = state.deaths.get(key, 0) + 1
        if worker.episode is None and state.deaths[key] > 1:
            raise UserError(
                "a worker process was ended before it read an episode, probably because memory ran out: run the same command "
                "again with fewer --workers; finished parts are kept"
            )
        if worker.episode is not None and (stalled or state.deaths[key] > 1):
            state.failed.setdefault(worker.batch, {})[worker.episode] = _STALLED if stalled else _ENDED
        state.waiting.insert(0, worker.batch)
    return _start(
        config, "spawn" if worker.episode is None else worker.method
    )  # a copy may lack what it needs to begin


def _work(pipe: connection.Connection, config: WorkerConfig, inherited: list[connection.Connection]) -> None:
    """The program of a worker process: answer each batch with the numbers of its episodes as they begin, its tables, and None.

    Args:
        inherited: the parent's ends of pipes, which are closed here: the process ends with its parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    for end in inherited:
        end.close()
    prepare_process(is_copy=bool(inherited))
    while True:
        try:
            batch, failed = pipe.recv()
        except EOFError:
            return
        try:
            for part in config.process(batch, failed, pipe.send):
                pipe.send(part)
            pipe.send(None)
        except UserError as error:
            pipe.send(error)
