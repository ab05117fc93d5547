"""The worker process in the CUBE environment, seen from here: commands → replies, one JSON line each."""

import json
import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import IO, Any

from agentmerge_hub.agents.backends.child_process import end_with_parent
from agentmerge_hub.agents.cube.installation import find_python
from agentmerge_hub.errors import UserError

WORKER = Path(__file__).with_name("worker.py")

PROTOCOL = 1

VARIABLES_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "AGENTMERGE_API_KEY", "VLLM_API_KEY")
"""The worker has packages of its own and asks no model."""


class CubeError(Exception):
    """The worker could not run the episode. The message is one sentence."""


class CubeWorker:
    """One process, which runs one episode after another."""

    def __init__(self, command: list[str]) -> None:
        """Start the worker.

        Raises:
            CubeError: if it does not start.
        """
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # until `close`
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES_LEFT_OUT}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                text=True,
                encoding="utf-8",
                preexec_fn=end_with_parent,
            )
        except OSError as error:
            raise CubeError(f"the CUBE worker {command[0]} does not start: {error.strerror or error}") from None
        hello = self._receive()
        if hello.get("protocol") != PROTOCOL:
            raise CubeError(f"the CUBE worker speaks protocol {hello.get('protocol')} instead of {PROTOCOL}")
        self.versions: dict[str, str] = hello["versions"]
        """Versions of CUBE's packages; empty where one is not installed."""

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its reply.

        Raises:
            CubeError: if the worker has ended, or reports an error.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"command": command} | arguments) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise CubeError(f"the CUBE worker ended: {self._last_line()}") from None
        reply = self._receive()
        if "error" in reply:
            raise CubeError(f"{reply.get('error_class') or 'Error'}: {reply['error']}")
        return reply

    def close(self) -> None:
        """End the process and its browser."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._log):
            assert file is not None
            file.close()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise CubeError(f"the CUBE worker ended: {self._last_line()}")
        try:
            reply = json.loads(line)
        except ValueError:
            raise CubeError("the CUBE worker's reply is not JSON") from None
        if not isinstance(reply, dict):
            raise CubeError("the CUBE worker's reply is not an object")
        return reply

    def _last_line(self) -> str:
        """The end of what the worker printed, e.g. the message of an exception."""
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1][:300] if lines else "it printed nothing"


def worker_command() -> list[str]:
    """The command that starts the worker. Its own folder is not on its path: module names there could hide others.

    Raises:
        UserError: if there is no CUBE environment.
    """
    return [str(find_python()), "-P", str(WORKER)]


_workers: dict[int, CubeWorker] = {}
"""The worker of this process; a forked process has its own."""


def shared_worker() -> CubeWorker:
    """The worker of this process, started at the first call and again after it has ended."""
    worker = _workers.get(os.getpid())
    if worker is not None and not worker.alive:
        worker.close()
        worker = None
    if worker is None:
        worker = _workers[os.getpid()] = CubeWorker(worker_command())
    return worker


@cache
def installed_versions() -> dict[str, str]:
    """Versions of CUBE's packages in the CUBE environment.

    Raises:
        UserError: if there is no CUBE environment, or its worker does not start.
    """
    try:
        worker = CubeWorker(worker_command())
    except CubeError as error:
        raise UserError(f"backend cube does not start: {error}; run `make setup-cube` again") from None
    worker.close()
    return worker.versions
