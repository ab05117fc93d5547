"""Inference engines: which one is installed, and the command that serves a model folder with it.

Options are those of the engines' documentation: https://docs.vllm.ai/en/stable/cli/serve/,
https://docs.sglang.io/advanced_features/server_arguments.html, `transformers serve --help`, `llama-server --help`.
"""

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from agentmerge_hub.agents.serving.model_folder import gguf_file, is_adapter, read_adapter_config
from agentmerge_hub.errors import UserError, require

ENGINES = ("auto", "vllm", "sglang", "transformers", "llama.cpp")

_VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values of vLLM's --max-lora-rank."""

_ADAPTER = "adapter"
"""Name of a LoRA adapter within an SGLang server; requests name ``MODEL:ADAPTER``."""


def select_engine(engine: str = "auto") -> str:
    """``auto`` is vLLM where it is installed, else transformers; any other engine is returned if it is installed.

    vLLM may have an environment of its own: then its program is on the PATH.

    Raises:
        UserError: if the engine is not installed.
    """
    if engine == "auto":
        engine = "vllm" if find_program("vllm") else "transformers"
    if engine == "vllm" and not find_program("vllm"):
        raise UserError(
            "vllm is not installed: install it in an environment of its own (`pip install vllm`) and put the environment's bin "
            "folder on the PATH, or start `vllm serve` yourself and name its address as the recipe's endpoint"
        )
    if engine == "sglang" and not find_spec("sglang"):
        raise UserError(
            f"sglang is not installed for {sys.executable}: install it there, or start its server in an environment of its own "
            "and name its address as the recipe's endpoint"
        )
    if engine == "llama.cpp":
        _program("llama-server")
    elif engine == "transformers":
        require("agents", "fastapi", "uvicorn")
    return engine


def request_name(path: str, engine: str) -> str:
    """The model name in requests to a server of the folder."""
    return f"{path}:{_ADAPTER}" if engine == "sglang" and is_adapter(Path(path)) else path


def server_command(model: str | None, engine: str, port: int, dtype: str) -> list[str]:
    """The command that serves a folder under its path as the name.

    Args:
        model: folder; None with ``transformers`` serves the folder that a request names.
        engine: from `select_engine`.
        port: of 127.0.0.1.
        dtype: data type the model computes in, or ``auto``.

    Raises:
        UserError: for a dtype that the engine cannot use.
    """
    address = ["--host", "127.0.0.1", "--port", str(port)]
    name = str(model)
    if engine == "llama.cpp":
        if dtype != "auto":
            raise UserError(f"llama.cpp computes in the data type of the GGUF file: remove dtype {dtype}")
        return [_program("llama-server"), "--model", str(gguf_file(Path(name))), "--alias", name, *address]
    if engine == "transformers":
        folder = [model] if model else []
        return [_program("transformers"), "serve", *folder, *address, "--log-level", "warning", "--dtype", dtype]
    adapter = is_adapter(Path(name))
    base = read_adapter_config(Path(name)).base if adapter else name
    template = Path(name) / "chat_template.jinja"
    options = ["--chat-template", str(template)] if adapter and template.is_file() else []
    if engine == "vllm":
        options += _vllm_adapter(Path(name)) if adapter else ["--served-model-name", name]
        return [_program("vllm"), "serve", base, *address, "--dtype", dtype, *options]
    if adapter:
        rank = str(read_adapter_config(Path(name)).rank)
        options += ["--enable-lora", "--lora-paths", f"{_ADAPTER}={name}", "--max-lora-rank", rank]
    start = [sys.executable, "-m", "sglang.launch_server", "--model-path", base, "--served-model-name", name]
    return [*start, *address, "--dtype", dtype, *options]


def _vllm_adapter(folder: Path) -> list[str]:
    config = read_adapter_config(folder)
    rank = next((rank for rank in _VLLM_RANKS if rank >= config.rank), None)
    if rank is None:
        raise UserError(
            f"{folder} has rank {config.rank}, and vLLM serves at most {_VLLM_RANKS[-1]}: merge the adapter first"
        )
    module = {"name": str(folder), "path": str(folder), "base_model_name": config.base}
    return ["--enable-lora", "--max-lora-rank", str(rank), "--lora-modules", json.dumps(module)]


def find_program(name: str) -> str | None:
    """The program in this Python's folder, else on the PATH."""
    sibling = Path(sys.executable).with_name(name)
    return str(sibling) if sibling.is_file() else shutil.which(name)


def _program(name: str) -> str:
    path = find_program(name)
    if path is None:
        raise UserError(
            f"the program `{name}` is neither in the folder of {sys.executable} nor on the PATH: install it"
        )
    return path
