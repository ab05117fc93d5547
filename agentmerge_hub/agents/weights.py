"""A model folder → hashes of the weights that are served from it, and of its settings."""

import hashlib
import json
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.serving.model_folder import gguf_file, is_adapter, read_adapter_config
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash


def weights_hash(folder: Path) -> str:
    """sha256 over the tensors in the order of their names: name, type, shape and bytes.

    Shards and file metadata make no difference. Format: https://huggingface.co/docs/safetensors

    Raises:
        UserError: if the folder has no readable safetensors file.
    """
    files = _weight_files(folder)
    tensors: dict[str, tuple[Path, int, dict[str, Any]]] = {}
    for path in files:
        try:
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(size))
        except (ValueError, OSError, MemoryError, OverflowError) as error:
            raise UserError(f"{path} is not a safetensors file: {error}") from error
        tensors |= {name: (path, 8 + size, entry) for name, entry in header.items() if name != "__metadata__"}
    digest = hashlib.sha256()
    for name, (path, start, entry) in sorted(tensors.items()):
        digest.update(json.dumps([name, entry["dtype"], entry["shape"]]).encode())
        first, last = entry["data_offsets"]
        with path.open("rb") as file:
            file.seek(start + first)
            while first < last and (piece := file.read(min(last - first, 1 << 24))):
                digest.update(piece)
                first += len(piece)
    return digest.hexdigest()


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files that engines load: model.safetensors, else the shards of its index, else all of them.

    Raises:
        UserError: if a file is missing.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{index} is not an index of safetensors files") from error
        if missing := sorted(name for name in names if not (folder / name).is_file()):
            raise UserError(f"{folder} has no {missing[0]}, which its index names: copy the model again")
        return sorted(folder / name for name in names)
    if files := sorted(folder.glob("*.safetensors")):
        return files
    raise UserError(f"{folder} has no *.safetensors file: name a model folder")


def served_hash(folder: Path, engine: str) -> str:
    """Hash of the weights that an engine serves from a folder.

    It is `weights_hash` of a model folder, the sha256 of the GGUF file for llama.cpp, and for an adapter a hash over its
    weights, its scaling and its base model's weights.

    Raises:
        UserError: if the folder has no readable weights.
    """
    if engine == "llama.cpp":
        return content_hash.file_hash(gguf_file(folder))
    if not is_adapter(folder):
        return weights_hash(folder)
    config = read_adapter_config(folder)
    base = Path(config.base)
    scaling = {key: value for key, value in config.content.items() if key in _SCALING}
    parts = [weights_hash(folder), weights_hash(base) if base.is_dir() else config.base, scaling]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_SCALING = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "use_dora", "fan_in_fan_out")


def settings_hash(folder: Path) -> str:
    """Hash of what else changes an answer: configuration, generation defaults, tokenizer and chat template."""

    def select(name: str) -> bool:
        return content_hash.is_model_file(name) and not name.endswith((".safetensors", ".index.json", ".gguf", ".bin"))

    return content_hash.folder_hash(folder, select)
