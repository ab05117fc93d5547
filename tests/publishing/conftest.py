"""A Hub on this machine, and real clients that speak to it from processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hub_server
import pytest

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def hub() -> Iterator[hub_server.Hub]:
    with hub_server.running() as hub:
        yield hub


@pytest.fixture
def client_environment(hub: hub_server.Hub, tmp_path: Path) -> dict[str, str]:
    """What a client's process needs; huggingface_hub reads all of it once, when it is imported."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    return kept | {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": "hf_alice",
        "HF_HOME": str(tmp_path / "hf-home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "no_proxy": "*",
    }


@pytest.fixture
def run(client_environment: dict[str, str], tmp_path: Path) -> Run:
    """Run Python code, or with `agentmerge` arguments the command line, as a client of the Hub."""

    def run(*arguments: object, code: str = "", ok: bool = True, **environment: str) -> subprocess.CompletedProcess:
        command = ["-c", code] if code else ["-m", "agentmerge_hub.cli", *map(str, arguments)]
        done = subprocess.run(
            [sys.executable, *command],
            env=client_environment | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if ok and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    return run
