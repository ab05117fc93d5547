"""Commands of the engines, and adapters served on their base model."""

import json
from pathlib import Path

import pytest

from agentmerge_hub.agents.serving import engines
from agentmerge_hub.agents.serving.model_folder import check_model_folder, context_length
from agentmerge_hub.errors import UserError


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_program", lambda name: name)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


def write_config(folder: Path, **config: object) -> None:
    content = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 24} | config
    (folder / "adapter_config.json").write_text(json.dumps(content))


def test_a_model_folder_is_served_under_its_path(programs) -> None:
    address = "--host 127.0.0.1 --port 8001"
    assert " ".join(engines.server_command("runs/a", "vllm", 8001, "bfloat16")) == (
        f"vllm serve runs/a {address} --dtype bfloat16 --served-model-name runs/a"
    )
    sglang = engines.server_command("runs/a", "sglang", 8001, "auto")
    assert " ".join(sglang[1:]) == (
        f"-m sglang.launch_server --model-path runs/a --served-model-name runs/a {address} --dtype auto"
    )
    assert engines.request_name("runs/a", "sglang") == "runs/a"


def test_an_engine_that_is_not_installed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UserError, match=r"install it in an environment of its own .*put the environment's bin folder on the PATH"
    ):
        engines.select_engine("vllm")
    with pytest.raises(UserError, match=r"sglang is not installed for .* name its address as the recipe's endpoint"):
        engines.select_engine("sglang")
    assert engines.select_engine() == "transformers"
    (tmp_path / "vllm").write_text("#!/bin/sh\n")
    (tmp_path / "vllm").chmod(0o755)
    assert engines.select_engine() == engines.select_engine("vllm") == "vllm"
    assert engines.server_command("runs/a", "vllm", 8001, "auto")[0] == str(tmp_path / "vllm")


def test_an_adapter_is_served_without_merging(programs, adapter: Path) -> None:
    write_config(adapter)
    command = engines.server_command(str(adapter), "vllm", 8001, "auto")
    assert command[:3] == ["vllm", "serve", "org/base"]
    assert command[command.index("--max-lora-rank") + 1] == "32"  # the smallest of vLLM's values that holds 24
    module = json.loads(command[command.index("--lora-modules") + 1])
    assert module == {"name": str(adapter), "path": str(adapter), "base_model_name": "org/base"}
    assert command[command.index("--chat-template") + 1] == str(adapter / "chat_template.jinja")
    assert engines.request_name(str(adapter), "vllm") == str(adapter)
    command = engines.server_command(str(adapter), "sglang", 8001, "auto")
    assert command[command.index("--lora-paths") + 1] == f"adapter={adapter}"
    assert engines.request_name(str(adapter), "sglang") == f"{adapter}:adapter"


@pytest.mark.parametrize(
    ("engine", "config", "message"),
    [
        ("transformers", {}, "is an adapter, which transformers does not serve: use vllm or sglang, or merge"),
        ("vllm", {"use_dora": True}, "sets use_dora, which vllm does not apply"),
        ("vllm", {"modules_to_save": ["lm_head"]}, "sets modules_to_save, which vllm does not apply"),
        ("sglang", {"peft_type": "IA3"}, "is a IA3 adapter, and sglang serves LoRA alone"),
        ("vllm", {"base_model_name_or_path": None}, "names no base model"),
        ("vllm", {"r": "many"}, "cannot be read as the configuration of an adapter"),
    ],
)
def test_an_adapter_that_cannot_be_served_is_one_sentence(
    adapter: Path, engine: str, config: dict, message: str
) -> None:
    write_config(adapter, **config)
    with pytest.raises(UserError, match=message):
        check_model_folder(str(adapter), engine)


def test_sglang_takes_no_colon_in_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "seed:1"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    check_model_folder(str(folder), "vllm")
    with pytest.raises(UserError, match="sglang serves no folder with a colon in its path"):
        check_model_folder(str(folder), "sglang")


def test_the_context_length_is_read_from_the_configuration(tmp_path: Path) -> None:
    def length(**config: object) -> int | None:
        (tmp_path / "config.json").write_text(json.dumps(config))
        return context_length(str(tmp_path))

    assert length(max_position_embeddings=2048) == 2048
    assert length(text_config={"max_position_embeddings": 4096}) == 4096
    assert length(max_position_embeddings=4096, rope_scaling={"rope_type": "linear", "factor": 4.0}) == 16384
    yarn = {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096}
    assert length(max_position_embeddings=131072, rope_parameters=yarn) == 131072
    llama3 = {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}
    assert length(max_position_embeddings=131072, rope_scaling=llama3) == 131072
    gemma3 = {"rope_type": "linear", "factor": 8.0}
    assert length(max_position_embeddings=131072, rope_scaling=gemma3, model_type="gemma3_text") == 131072
    assert length() is None
