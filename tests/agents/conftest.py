"""A chat endpoint with scripted replies over real HTTP; recipes; a tiny model."""

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("agentlab")

SHORT = {
    "action_space": "click_fill",
    "use_focused_element": False,
    "long_description": False,
    "individual_examples": False,
    "extract_visible_tag": False,
    "extract_clickable_tag": False,
}


class ChatServer:
    """`answer` maps the request's messages to a text, to fields of the message, or to a status code and a body."""

    def __init__(self) -> None:
        self.answer: Callable[[list[dict]], str | dict | tuple[int, str]] = lambda messages: "hello"
        self.models: list[dict] = [{"id": "m", "object": "model"}]
        self.get_status = 200
        self.requests: list[dict] = []
        self.keys: list[str] = []

    def start(self) -> str:
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(chat.get_status, json.dumps({"object": "list", "data": chat.models}))

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                chat.requests.append(request)
                chat.keys.append(self.headers["Authorization"])
                answer = chat.answer(request["messages"])
                if isinstance(answer, tuple):
                    return self._send(*answer)
                message = {"role": "assistant"} | (answer if isinstance(answer, dict) else {"content": answer})
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
                body = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
                self._send(200, json.dumps(body | {"usage": usage}))

            def _send(self, status: int, body: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def chat_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    server = ChatServer()
    server.address = server.start()
    for name in ("AGENTMERGE_ENDPOINT", "AGENTMERGE_API_KEY"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser_process() -> Iterator[Any]:
    """A pool of one process, for browsers: one that this process starts would be inherited by the workers of later tests."""
    with multiprocessing.get_context("spawn").Pool(1) as process:
        yield process


@pytest.fixture
def write_recipe(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe of the scripted expert on one easy task, with a test's changes."""

    def write(**changes: object) -> Path:
        recipe = {
            "name": "t",
            "candidates": [{"name": "expert", "scripted": True}],
            "agents": [{"name": "basic", "flags": SHORT | {"preset": "basic"}}],
            "episodes": [{"split": "train", "tasks": ["click-test"], "seeds": [0]}],
            "slow_mo": 0,
            "wait_after_action": 0.05,
            "max_steps": 3,
        }
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(recipe | changes))
        return path

    return write


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A random Llama of two thin layers with the tests' tokenizer."""
    torch = pytest.importorskip("torch")
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=2048, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
