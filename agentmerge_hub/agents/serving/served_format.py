"""What serves a model folder: the engine with its version, and the number format that the weights are computed in."""

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.serving.engines import find_program
from agentmerge_hub.agents.serving.model_folder import config_of, gguf_file

_PROGRAMS = {"vllm": "vllm", "llama.cpp": "llama-server"}
_SECONDS = 120


@cache
def engine_version(engine: str) -> str:
    """``transformers 5.23.0``; the name alone if the engine does not say its version.

    Args:
        engine: of `select_engine`.
    """
    try:
        return f"{engine} {version(engine)}"
    except PackageNotFoundError:
        pass
    path = find_program(_PROGRAMS[engine]) if engine in _PROGRAMS else None
    if path is None:
        return engine
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return engine
    found = re.search(r"version:? (\d[\w.]*)|^v?(\d+[.]\d[\w.+]*)$", done.stdout + done.stderr, re.MULTILINE)
    return f"{engine} {found[1] or found[2]}" if found else engine


_OPTIONS = (
    "--quantization", "-q", "--dtype", "--kv-cache-dtype", "--load-format", "--torchao-config",
    "--cache-type-k", "-ctk", "--cache-type-v", "-ctv",
)  # fmt: skip
"""Arguments of the engines that change the numbers that a model is loaded or computed in."""


def number_format(folder: Path, engine: str, dtype: str, arguments: Sequence[str] = ()) -> str:
    """E.g. ``bfloat16``, ``awq 4-bit in float16``, ``GGUF model-q8_0``, ``bfloat16 with --quantization fp8``; empty if neither
    configuration nor arguments say it.

    Args:
        engine: of `select_engine`.
        dtype: of the recipe.
        arguments: the recipe's engine_arguments.
    """
    chosen = []
    for place, argument in enumerate(arguments):
        option, sign, value = argument.partition("=")
        if option in _OPTIONS:
            chosen.append(f"{option} {value if sign else ' '.join(arguments[place + 1 : place + 2])}")
    return " with ".join(filter(None, [_loaded_format(folder, engine, dtype), " ".join(chosen)]))


def _loaded_format(folder: Path, engine: str, dtype: str) -> str:
    """The number format without regard to the engine's arguments."""
    if engine == "llama.cpp":
        return f"GGUF {gguf_file(folder).stem}"
    config = config_of(str(folder)) or {}
    text = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    stored = next((str(c[key]) for c in (config, text) for key in ("dtype", "torch_dtype") if c.get(key)), "")
    computed = stored if dtype == "auto" else dtype
    if dtype == "auto" and stored == "float32" and engine in ("vllm", "sglang"):
        computed = f"{engine}'s choice for float32 weights"
    quantized = _quantization(config.get("quantization_config"))
    return f"{quantized} in {computed}" if quantized and computed else quantized or computed


def _quantization(settings: Any) -> str:
    """Method and bits of a quantization_config; empty if there is none."""
    if not isinstance(settings, dict):
        return ""
    bits = settings.get("bits") or next((n for n in (4, 8) if settings.get(f"load_in_{n}bit")), None)
    method = str(settings.get("quant_method") or "quantized")
    return f"{method} {bits}-bit" if bits else method
