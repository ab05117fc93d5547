"""Serving a model folder: it answers, it stops cleanly, and a folder that cannot be served is one sentence."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentmerge_hub.agents.serving import endpoint
from agentmerge_hub.agents.serving.engines import select_engine
from agentmerge_hub.agents.serving.model_folder import check_model_folder
from agentmerge_hub.agents.serving.server import serve_model
from agentmerge_hub.errors import UserError

CONTINUOUS_BATCHING = ["--continuous-batching", "--cb-num-blocks", "16", "--cb-max-batch-tokens", "256"]
"""Without a number of blocks its cache takes most of the machine's free memory: 13 GB were seen."""


@pytest.mark.parametrize(
    ("signal_number", "more"),
    [(signal.SIGINT, []), (signal.SIGTERM, ["--dtype", "bfloat16", "--", *CONTINUOUS_BATCHING])],
)
def test_serve_answers_until_it_is_stopped(
    model_folder: Path, signal_number: signal.Signals, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "agentmerge_hub.cli", "serve", str(model_folder), "--port", str(port)]
    # A script's background job starts with Ctrl-C ignored.
    process = subprocess.Popen(
        [*command, "--engine", "transformers", *more], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    try:
        assert f"answers at http://127.0.0.1:{port}/v1" in process.stdout.readline()
        for name in (endpoint.ADDRESS, endpoint.KEY, "VLLM_API_URL", "VLLM_API_KEY"):
            monkeypatch.setenv(name, "")
        endpoint.configure(f"http://127.0.0.1:{port}/v1")
        reply = endpoint.complete(str(model_folder), [{"role": "user", "content": "Hello"}], 5, 0.0)
        assert reply.prompt_tokens and reply.prompt_tokens > 1
        assert reply.completion_tokens and 0 < reply.completion_tokens <= 5
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal_number)
        assert process.wait(30) == 0
        assert children and not any(child.is_running() for child in children)
    finally:
        process.kill()


def test_a_folder_that_cannot_be_served_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no model folder"):
        check_model_folder(str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"has no config\.json"):
        check_model_folder(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="has no chat template: copy the instruct model's"):
        check_model_folder(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds a full model and an adapter_config\.json"):
        check_model_folder(str(tmp_path))


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(UserError, match=f"port {port} cannot be used"),
            serve_model(str(tmp_path), "transformers", port),
        ):
            pass


def test_a_server_that_dies_is_reported_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with (
        pytest.raises(UserError, match=r"transformers did not start: .+"),
        serve_model(str(tmp_path), "transformers"),
    ):
        pass


def test_llama_cpp_serves_the_gguf_file_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UserError, match="`llama-server` is neither in the folder"):
        select_engine("llama.cpp")
    program = tmp_path / "bin" / "llama-server"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "started with $*"\n')
    program.chmod(0o755)
    assert select_engine("llama.cpp") == "llama.cpp"
    model = tmp_path / "model"
    model.mkdir()

    def message(**options: Any) -> str:
        with pytest.raises(UserError) as error, serve_model(str(model), "llama.cpp", 8001, **options):
            pass
        return str(error.value)

    assert "has no .gguf file, and llama.cpp serves one" in message()
    (model / "model.gguf").touch()
    assert "remove dtype float32" in message(dtype="float32")
    assert (
        f"started with --model {model}/model.gguf --alias {model} --host 127.0.0.1 --port 8001 --threads 2"
        in message(arguments=["--threads", "2"])
    )
    (model / "other.gguf").touch()
    assert "has 2 .gguf files" in message()
