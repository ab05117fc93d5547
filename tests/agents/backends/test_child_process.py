"""Servers and workers end with a killed parent."""

import subprocess
import sys

import psutil
import pytest

PARENT = """
import os, subprocess
from agentmerge_hub.agents.backends.child_process import end_with_parent
child = subprocess.Popen(["sleep", "600"], start_new_session=True, preexec_fn=end_with_parent)
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_child_ends_with_its_killed_parent() -> None:
    parent = subprocess.run([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.returncode == -9
    pid = int(parent.stdout)
    if psutil.pid_exists(pid):
        child = psutil.Process(pid)
        if child.status() != psutil.STATUS_ZOMBIE:
            child.wait(30)
