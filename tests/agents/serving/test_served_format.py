"""What is recorded of the engine and the number format of a served folder."""

import json
import os
from pathlib import Path

import pytest

from agentmerge_hub.agents.serving import served_format
from agentmerge_hub.agents.serving.served_format import engine_version, number_format


def test_the_version_is_that_of_the_package_or_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    assert engine_version("transformers") == f"transformers {transformers.__version__}"
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\necho 'version: 6123 (a1b2c3d)' >&2\n")
    program.chmod(0o755)
    monkeypatch.setattr(served_format, "find_program", lambda name: str(program))
    engine_version.cache_clear()
    assert engine_version("llama.cpp") == "llama.cpp 6123"
    program.write_text("#!/bin/sh\nexit 1\n")
    engine_version.cache_clear()
    assert engine_version("llama.cpp") == "llama.cpp" and os.access(program, os.X_OK)
    engine_version.cache_clear()


@pytest.mark.parametrize(
    ("config", "engine", "dtype", "expected"),
    [
        ({"dtype": "bfloat16"}, "transformers", "auto", "bfloat16"),
        ({"torch_dtype": "float16"}, "vllm", "auto", "float16"),
        ({"text_config": {"dtype": "bfloat16"}}, "transformers", "auto", "bfloat16"),
        ({"dtype": "float32"}, "vllm", "auto", "vllm's choice for float32 weights"),
        ({"dtype": "float32"}, "vllm", "bfloat16", "bfloat16"),
        ({"dtype": "float16", "quantization_config": {"quant_method": "awq", "bits": 4}}, "vllm", "auto", "awq 4-bit in float16"),
        ({"quantization_config": {"quant_method": "fp8"}}, "vllm", "auto", "fp8"),
        ({}, "transformers", "auto", ""),
    ],
)  # fmt: skip
def test_the_number_format_follows_recipe_and_configuration(tmp_path, config, engine, dtype, expected) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert number_format(tmp_path, engine, dtype) == expected
    (tmp_path / "model-q8_0.gguf").write_bytes(b"GGUF")
    assert number_format(tmp_path, "llama.cpp", "auto") == "GGUF model-q8_0"


def test_the_number_format_names_arguments_of_the_engine_that_change_it(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"dtype": "bfloat16"}')
    given = ["--tensor-parallel-size", "8", "--quantization", "fp8", "--api-key", "secret", "--kv-cache-dtype=fp8_e5m2"]
    assert (
        number_format(tmp_path, "vllm", "auto", given) == "bfloat16 with --quantization fp8 --kv-cache-dtype fp8_e5m2"
    )
    assert number_format(tmp_path, "transformers", "float32", given[:2]) == "float32"
    (tmp_path / "config.json").write_text("{}")
    assert number_format(tmp_path, "transformers", "auto", ["--quantization", "bnb-4bit"]) == "--quantization bnb-4bit"
