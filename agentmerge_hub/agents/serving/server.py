"""Run an inference server for a model folder, behind an OpenAI-compatible endpoint, while a block runs."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentmerge_hub.agents.backends.child_process import end_with_parent
from agentmerge_hub.agents.serving.engines import server_command
from agentmerge_hub.errors import UserError

START_SECONDS = 900.0
"""vLLM compiles and loads for minutes. A server process that ends is noticed at once."""


@contextlib.contextmanager
def serve_model(
    model: str | None, engine: str, port: int | None = None, *, dtype: str = "auto", arguments: Sequence[str] = ()
) -> Iterator[str]:
    """Run a server while the block runs.

    Args:
        model: folder to serve under that name; None with ``transformers`` serves whichever folder a request names.
        engine: from `select_engine`.
        port: a free port if None.
        dtype: data type the model computes in; ``auto`` is the engine's choice. ``llama.cpp`` takes only ``auto``: it uses
            the GGUF file's type.
        arguments: more arguments of the engine, e.g. ``["--tensor-parallel-size", "8"]``.

    Yields:
        The base URL, e.g. ``http://127.0.0.1:8000/v1``.

    Raises:
        UserError: if the port is taken; if the server ends or does not answer in time, with the last line of its log; for a dtype or a folder
            that the engine cannot serve.
    """
    port = _checked_port(port) if port else _free_port()
    command = [*server_command(model, engine, port, dtype), *arguments]
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=end_with_parent
        )
        try:
            if not _healthy(f"http://127.0.0.1:{port}/health", server):
                lines = [line for line in Path(log.name).read_text(errors="replace").splitlines() if line.strip()]
                raise UserError(f"{engine} did not start: {lines[-1].strip() if lines else 'its log is empty'}")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            stop(server)


def _healthy(url: str, server: subprocess.Popen) -> bool:
    """Whether the server answers in time; False as soon as the process has ended."""
    import httpx

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5).status_code == 200:
                return True
        time.sleep(0.3)
    return False


def stop(server: subprocess.Popen) -> None:
    """Stop a server and its children: SIGINT, then SIGKILL after ten seconds."""
    for signal_number, seconds in ((signal.SIGINT, 10), (signal.SIGKILL, 10)):
        if server.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(seconds)


def _checked_port(port: int) -> int:
    """The port, if nobody listens on it: another server's answers would pass for this model's.

    Raises:
        UserError: if it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(f"port {port} cannot be used ({error.strerror}): choose another with --port") from error
    return port


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
