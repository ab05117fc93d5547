"""Serve a model folder behind an OpenAI-compatible endpoint with vLLM, `transformers serve` or llama.cpp."""

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
"""vLLM compiles and loads for minutes. A server process that ends is noticed at once."""


def select_engine(engine: str = "auto") -> str:
    """``vllm``, ``transformers`` or ``llama.cpp``; ``auto`` is vLLM where it is installed, else transformers.

    Raises:
        UserError: if the engine is not installed.
    """
    if engine == "auto":
        engine = "vllm" if find_spec("vllm") else "transformers"
    if engine == "vllm":
        require("agents", "vllm")
    elif engine == "llama.cpp":
        _program("llama-server")
    else:
        require("agents", "fastapi", "uvicorn")
    return engine


def check_model_folder(path: str) -> None:
    """Raise UserError unless the path is a model folder with a chat template."""
    if not Path(path).is_dir():
        raise UserError(f"there is no model folder {path}")
    if not (Path(path) / "config.json").is_file():
        raise UserError(f"{path} has no config.json: it is not a model folder")
    settings = Path(path) / "tokenizer_config.json"
    inside = settings.is_file() and '"chat_template"' in settings.read_text(encoding="utf-8", errors="replace")
    if not inside and not (Path(path) / "chat_template.jinja").is_file():
        raise UserError(f"{path} has no chat template: copy the instruct model's chat_template.jinja into it")


def gguf_file(folder: str) -> Path:
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
        UserError: if the server ends or does not answer in time, with the last line of its log; for a dtype or a folder
            that the engine cannot serve.
    """
    port = port or _free_port()
    if engine == "llama.cpp" and dtype != "auto":
        raise UserError(f"llama.cpp computes in the data type of the GGUF file: remove dtype {dtype}")
    command = [*_command(model, engine, port), *([] if engine == "llama.cpp" else ["--dtype", dtype]), *arguments]
    address = f"http://127.0.0.1:{port}/v1"
    with tempfile.NamedTemporaryFile("w+", suffix=".log") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            if not _healthy(f"http://127.0.0.1:{port}/health", server):
                lines = [line for line in Path(log.name).read_text(errors="replace").splitlines() if line.strip()]
                raise UserError(f"{engine} did not start: {lines[-1].strip() if lines else 'its log is empty'}")
            yield address
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


def _command(model: str | None, engine: str, port: int) -> list[str]:
    if engine == "vllm":
        return [_program("vllm"), "serve", str(model), "--served-model-name", str(model), *_address_arguments(port)]
    if engine == "llama.cpp":
        return [
            _program("llama-server"),
            "--model",
            str(gguf_file(str(model))),
            "--alias",
            str(model),
            *_address_arguments(port),
        ]
    command = [_program("transformers"), "serve"]
    return [*command, *([model] if model else []), *_address_arguments(port), "--log-level", "warning"]


def _address_arguments(port: int) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(port)]


def _program(name: str) -> str:
    """The program in this Python's folder, else on the PATH."""
    sibling = Path(sys.executable).with_name(name)
    path = str(sibling) if sibling.is_file() else shutil.which(name)
    if path is None:
        raise UserError(
            f"the program `{name}` is neither in the folder of {sys.executable} nor on the PATH: install it"
        )
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
