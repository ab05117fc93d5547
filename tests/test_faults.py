"""Every long stage, killed at random moments and started again, ends as if it had not been killed; benchmarks/faults.py
does the same with more kills and more conditions."""

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import fault_stages
import faults

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]


def test_killed_stages_end_as_if_they_had_not_been_killed(tmp_path: Path) -> None:
    """Two at a time: most of a stage's time is imports."""
    pytest.importorskip("agentlab")
    kills = {"train": 1, "collect": 1, "evaluate": 1, "build": 2, "sweep": 2, "merge": 2, "download": 2, "push": 2}

    def judge(stage: fault_stages.Stage) -> faults.Row:
        clean = faults.run_clean(stage, tmp_path)
        assert clean.fingerprint
        return faults.kill_repeatedly(stage, clean, tmp_path, kills[stage.name], random.Random(stage.name))

    with ExitStack() as servers, ThreadPoolExecutor(2) as threads:
        stages = list(fault_stages.prepare(tmp_path, list(kills), servers))
        rows = list(threads.map(judge, stages))
    for row in rows:
        assert row.kills == kills[row.stage]
        assert (row.corrupt, row.lost, row.leftovers, row.equal) == (0, 0, 0, row.kills), row
