"""Serve model folders behind an OpenAI-compatible endpoint: vLLM where it is installed, else `transformers serve`; llama.cpp
where it is asked for."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from agentmerge_hub.errors import UserError, require

START_SECONDS = 900.0
"""vLLM compiles and loads for minutes; a server that dies is noticed at once."""


def engine_for(wanted: str = "auto") -> str:
    """``vllm``, ``transformers`` or ``llama.cpp``.

    Raises:
        UserError: if the wanted one is not installed.
    """
    if wanted == "auto":
        wanted = "vllm" if find_spec("vllm") else "transformers"
    if wanted == "vllm":
        require("agents", "vllm")
    elif wanted == "llama.cpp":
        _program("llama-server")
    else:
        require("agents", "fastapi", "uvicorn")
    return wanted


def check_folder(path: str) -> None:
    """Raise UserError unless there is a model folder that can be asked in chat."""
    if not Path(path).is_dir():
        raise UserError(f"there is no model folder {path}")
    if not (Path(path) / "config.json").is_file():
        raise UserError(f"{path} has no config.json: it is not a model folder")
    settings = Path(path) / "tokenizer_config.json"
    inside = settings.is_file() and '"chat_template"' in settings.read_text(encoding="utf-8", errors="replace")
    if not inside and not (Path(path) / "chat_template.jinja").is_file():
        raise UserError(f"{path} has no chat template: copy the instruct model's chat_template.jinja into it")


def gguf(folder: str) -> Path:
    """The GGUF file of a model folder, which llama.cpp serves.

    Raises:
        UserError: unless there is exactly one.
    """
    files = sorted(Path(folder).glob("*.gguf"))
    if len(files) != 1:
        raise UserError(
            f"{folder} has {len(files) or 'no'} .gguf {'files' if files else 'file'}, and llama.cpp serves one: llama.cpp's "
            "convert_hf_to_gguf.py makes it"
        )
    return files[0]


@contextlib.contextmanager
def serving(
    model: str | None, engine: str, port: int | None = None, *, dtype: str = "auto", arguments: Sequence[str] = ()
) -> Iterator[str]:
    """A running server; it is stopped when the block ends.

    Args:
        model: folder to serve under that name; None with ``transformers`` serves whichever folder a request names.
        engine: what `engine_for` gave.
        port: a free one if None.
        dtype: what the model computes in; ``auto`` is the engine's choice, and the only one for ``llama.cpp``, which
            computes in what the file holds.
        arguments: more of the engine's own, e.g. ``["--tensor-parallel-size", "8"]``.

    Yields:
        The base URL, e.g. ``http://127.0.0.1:8000/v1``.

    Raises:
        UserError: if the server ends or does not answer in time, with the last line it wrote; for a dtype or a folder that
            the engine cannot serve.
    """
    port = port or _free_port()
    if engine == "llama.cpp" and dtype != "auto":
        raise UserError(f"llama.cpp computes in what the GGUF file holds: leave dtype out instead of {dtype}")
    command = [*_command(model, engine, port), *([] if engine == "llama.cpp" else ["--dtype", dtype]), *arguments]
    address = f"http://127.0.0.1:{port}/v1"
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            if not _healthy(f"http://127.0.0.1:{port}/health", server):
                lines = [line for line in Path(log.name).read_text(errors="replace").splitlines() if line.strip()]
                raise UserError(f"{engine} did not start to serve: {lines[-1].strip() if lines else 'it said nothing'}")
            yield address
        finally:
            stop(server)


def _healthy(url: str, server: subprocess.Popen) -> bool:
    """Whether the server answers in time; gives up at once when it has ended."""
    import httpx

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5).status_code == 200:
                return True
        time.sleep(0.3)
    return False


def stop(server: subprocess.Popen) -> None:
    """End a server and its children: asked first, forced after ten seconds."""
    for sign, seconds in ((signal.SIGINT, 10), (signal.SIGKILL, 10)):
        if server.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(seconds)


def _command(model: str | None, engine: str, port: int) -> list[str]:
    if engine == "vllm":
        return [_program("vllm"), "serve", str(model), "--served-model-name", str(model), *_at(port)]
    if engine == "llama.cpp":
        return [_program("llama-server"), "--model", str(gguf(model)), "--alias", str(model), *_at(port)]
    command = [_program("transformers"), "serve"]
    return [*command, *([model] if model else []), *_at(port), "--log-level", "warning"]


def _at(port: int) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(port)]


def _program(name: str) -> str:
    """The program beside this Python, else on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise UserError(f"the program `{name}` is neither beside {sys.executable} nor on the PATH: install it")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
