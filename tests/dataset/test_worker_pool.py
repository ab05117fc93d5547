"""Worker processes: one episode that ends its process is set aside, and the others become rows."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from made_traces import write_episode

from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.dataset.worker_pool import run, run_in_processes
from agentmerge_hub.dataset.workers import WorkerConfig
from agentmerge_hub.traces.find import Found, find_episodes


@dataclass(frozen=True, order=True)
class Deadly(Found):
    """An episode on which a process dies."""

    def __getattribute__(self, name: str) -> object:
        if name == "folder":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattribute__(name)


def test_an_episode_that_kills_its_process_is_in_the_ledger_and_the_others_are_rows(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    for seed in range(4):
        write_episode(tmp_path / "t", "miniwob.click-dialog", seed)
    good = find_episodes([tmp_path / "t"])
    config = WorkerConfig(Settings(), str(tokenizer_folder))
    batches = [[good[0], Deadly("bad", tmp_path), good[1]], good[2:]]
    tables = [part for _, part in run_in_processes(config, batches, 2)]
    assert [status.readable for status in tables[0].episodes] == [True, False, True]
    assert [(row["source"], row["rule"]) for row in tables[0].ledger.to_pylist()] == [("bad", "unreadable")]
    samples = pa.concat_tables(part.samples for part in tables)
    here = pa.concat_tables(part.samples for _, part in run(config, [good], 1))
    assert samples.equals(here)
