"""Time limits count a request, an action or an observation, not a whole step."""

import os
import time
from pathlib import Path

from agentmerge_hub.agents.backends import activity


def age(folder: Path, seconds: float) -> None:
    """Make the last report and the folder older."""
    for path in (folder / ".activity", folder):
        os.utime(path, (time.time() - seconds,) * 2)


def test_each_report_starts_the_limit_again(tmp_path: Path) -> None:
    started = time.time() - 1000
    with activity.reporting(tmp_path):
        age(tmp_path, 60)
        assert not activity.is_overdue(tmp_path, started, 10)  # a reset has more time
        for _ in range(5):  # five requests of eight seconds each
            activity.report(activity.REQUEST)
            age(tmp_path, 8)
            assert not activity.is_overdue(tmp_path, started, 10)
        age(tmp_path, 12)
        assert activity.is_overdue(tmp_path, started, 10)
        activity.report(activity.WAIT)
        age(tmp_path, 60)
        assert not activity.is_overdue(tmp_path, started, 10)  # as long as an endpoint may ask a client to wait
        age(tmp_path, 100)
        assert activity.is_overdue(tmp_path, started, 10)
        activity.report(activity.ACTION)
        assert not activity.is_overdue(tmp_path, started, 10) and activity.read(tmp_path) == activity.ACTION
    assert list(tmp_path.iterdir()) == []
    activity.report(activity.ACTION)  # without a run nothing is written
    assert list(tmp_path.iterdir()) == []
