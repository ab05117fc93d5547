"""Model folders that can be served: checkpoints, adapters and GGUF files. Reads configuration files alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.files.folder_kinds import check_model


def check_model_folder(path: str, engine: str = "auto") -> None:
    """Raise UserError unless the engine can serve the folder in chat."""
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(
            f"there is no model folder {path}: train or merge the model first, or fetch it with `hf download`"
        )
    if is_adapter(folder):
        check_adapter(folder, engine)
    else:
        check_model(path)
        if (folder / "adapter_config.json").is_file():
            raise UserError(
                f"{path} holds a full model and an adapter_config.json, and engines differ in which of them they load: remove one"
            )
        if not has_chat_template(folder):
            raise UserError(f"{path} has no chat template: copy the instruct model's chat_template.jinja into it")
    if engine == "llama.cpp":
        gguf_file(folder)
    if engine == "sglang" and ":" in path:
        raise UserError(f"sglang serves no folder with a colon in its path, as {path} has: rename it")


def has_chat_template(folder: Path) -> bool:
    settings = folder / "tokenizer_config.json"
    inside = settings.is_file() and '"chat_template"' in settings.read_text(encoding="utf-8", errors="replace")
    return inside or (folder / "chat_template.jinja").is_file()


def gguf_file(folder: Path) -> Path:
    """The GGUF file of a model folder, which llama.cpp serves.

    Raises:
        UserError: unless there is exactly one.
    """
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        raise UserError(
            f"{folder} has {len(files) or 'no'} .gguf {'files' if files else 'file'}, and llama.cpp serves one: llama.cpp's "
            "convert_hf_to_gguf.py makes it"
        )
    return files[0]


def context_length(path: str) -> int | None:
    """Tokens that the model of a folder can attend to, from its configuration; None if it does not say so."""
    config = config_of(path)
    if config is None:
        return None
    text = config["text_config"] if isinstance(config.get("text_config"), dict) else config
    length = text.get("max_position_embeddings")
    scaling = text.get("rope_scaling") or text.get("rope_parameters")
    if not isinstance(length, int):
        return None
    # Source: vLLM's _get_and_verify_max_len.
    scaling = scaling if isinstance(scaling, dict) else {}
    kind, factor = scaling.get("rope_type", scaling.get("type")), scaling.get("factor")
    is_scaled_already = kind in ("llama3", "longrope", "su") or "gemma3" in str(text.get("model_type"))
    if is_scaled_already or not isinstance(factor, int | float) or factor <= 1:
        return length
    original = scaling.get("original_max_position_embeddings") if kind == "yarn" else None
    return int((original if isinstance(original, int) else length) * factor)


def takes_images(path: str) -> bool:
    """Whether the model of a folder has a vision encoder, from its configuration."""
    config = config_of(path)
    return (
        config is None or "vision_config" in config
    )  # what cannot be read may be on the Hub; folders are checked before


def config_of(path: str) -> dict[str, Any] | None:
    """The configuration of the model of a folder, for an adapter of its base; None if it cannot be read."""
    folder = Path(path)
    if is_adapter(folder):
        folder = Path(read_adapter_config(folder).base)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return config if isinstance(config, dict) else {}


@dataclass(frozen=True)
class AdapterConfig:
    """The adapter_config.json of PEFT."""

    content: dict[str, Any]
    base: str
    """Folder or Hub id of the base model."""
    rank: int


def is_adapter(folder: Path) -> bool:
    """True for a folder with an adapter alone."""
    return (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file()


def read_adapter_config(folder: Path) -> AdapterConfig:
    """Read adapter_config.json.

    Raises:
        UserError: if it cannot be read or names no base model.
    """
    path = folder / "adapter_config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        base, pattern = content["base_model_name_or_path"], content.get("rank_pattern") or {}
        rank = max([int(content.get("r") or 0), *map(int, pattern.values())])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read as the configuration of an adapter") from error
    if not isinstance(base, str) or not base:
        raise UserError(f"{path} names no base model: set base_model_name_or_path")
    return AdapterConfig(content, base, rank)


ADAPTER_ENGINES = ("vllm", "sglang")


def check_adapter(folder: Path, engine: str) -> None:
    """Raise UserError unless the engine can serve the adapter on its base model without merging."""
    config = read_adapter_config(folder)
    merge = "merge the adapter into its base model first, with `agentmerge merge`"
    if engine not in ADAPTER_ENGINES:
        raise UserError(f"{folder} is an adapter, which {engine} does not serve: use vllm or sglang, or {merge}")
    if config.content.get("peft_type") != "LORA":
        raise UserError(
            f"{folder} is a {config.content.get('peft_type')} adapter, and {engine} serves LoRA alone: {merge}"
        )
    # Source: https://docs.vllm.ai/en/stable/features/lora/ and https://docs.sglang.io/advanced_features/lora.html
    unsupported = (
        "use_dora",
        "modules_to_save",
        "trainable_token_indices",
        "alpha_pattern",
        "rank_pattern",
        "layer_replication",
    )
    if found := [key for key in unsupported if config.content.get(key)]:
        raise UserError(f"{folder} sets {found[0]}, which {engine} does not apply: {merge}")
    base = Path(config.base)
    if not has_chat_template(folder) and base.is_dir() and not has_chat_template(base):
        raise UserError(f"{folder} has no chat template, nor has its base model: copy the instruct model's into it")
