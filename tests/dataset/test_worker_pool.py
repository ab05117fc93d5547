"""Worker processes: one episode that ends its process is set aside, and the others become rows."""

import io
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_traces import write_episode

from agentmerge_hub.dataset.parallel import partial_tables
from agentmerge_hub.dataset.parallel.worker_pool import run
from agentmerge_hub.dataset.parallel.workers import WorkerConfig
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.traces import limits
from agentmerge_hub.traces.find import Found, find_episodes


@dataclass(frozen=True, order=True)
class Deadly(Found):
    """An episode on which a process dies."""

    def __getattribute__(self, name: str) -> object:
        if name == "folder":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattribute__(name)


def table_of(part: partial_tables.PackedTables, name: str) -> pa.Table:
    return pq.read_table(io.BytesIO(part.files[name]))


def test_an_episode_that_kills_its_process_is_in_the_ledger_and_the_others_are_rows(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(4):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed)
    good = find_episodes([tmp_path / "t"])
    config = WorkerConfig(Settings(), str(tokenizer_folder))
    batches = [[good[0], Deadly("bad", tmp_path), good[1]], good[2:]]
    for workers in (1, 2):
        made = {tuple(one.source for one in read): part for read, part in run(config, batches, workers)}
        tables = [made[tuple(one.source for one in batch)] for batch in batches]
        assert [status.readable for status in tables[0].episodes] == [True, False, True]
        assert [(row["source"], row["rule"]) for row in table_of(tables[0], "ledger").to_pylist()] == [
            ("bad", "unreadable")
        ]
    samples = pa.concat_tables(table_of(part, "samples") for part in tables)
    here = pa.concat_tables(table_of(part, "samples") for _, part in run(config, [good], 1))
    assert samples.equals(here)
    monkeypatch.setattr(partial_tables, "PART_BYTES", 10_000)  # a batch that is too large becomes several parts
    parts = list(run(config, [good], 1))
    assert len(parts) > 1 and [one for read, _ in parts for one in read] == good
    assert pa.concat_tables(table_of(part, "samples") for _, part in parts).equals(here)


def hold(lock: Path, seconds: float) -> None:
    with limits.alone(lock, lambda: None):
        (lock.parent / "held").touch()
        time.sleep(seconds)


def build_beside_another(folder: Path, tokenizer: Path) -> tuple[list[bool], int, list[int]]:
    """What is read of a small and a large episode while another process works on a large one, in a process that has no memory to
    spare yet."""
    os.environ["AGENTMERGE_CACHE"] = str(folder)
    write_episode(folder / "t", "miniwob.click-dialog", 1, name="a small one")
    write_episode(folder / "t", "miniwob.click-dialog", 2, name="large", obs={"blob": os.urandom(24 * 2**20)})
    reported: list[int] = []
    found = find_episodes([folder / "t"])
    config = WorkerConfig(Settings(), str(tokenizer), max_bytes=48 * 2**20)
    list(config.process(found[:1]))  # imports take memory too
    other = Thread(target=hold, args=(folder / "large-episode.lock", 2.0))
    other.start()
    while not (folder / "held").exists():
        time.sleep(0.01)
    (part,) = config.process(found, started=reported.append)
    other.join()
    return [status.readable for status in part.episodes], table_of(part, "samples").num_rows, reported


def test_an_episode_that_needs_much_memory_waits_for_the_others(tmp_path: Path, tokenizer_folder: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        readable, rows, reported = pool.apply(build_beside_another, (tmp_path, tokenizer_folder))
    assert readable == [True, True] and rows == 2
    assert reported[:2] == [0, 1] and reported.count(0) == 1 and reported.count(1) > 2
