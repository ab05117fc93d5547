"""A model folder → the hash of its weights, and its provenance from its manifest."""

import hashlib
import json
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError


def weights_hash(folder: Path) -> str:
    """sha256 over the tensors in the order of their names: name, type, shape and bytes.

    Shards and file metadata make no difference. Format: https://huggingface.co/docs/safetensors

    Raises:
        UserError: if the folder has no readable safetensors file.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder} has no *.safetensors file: name a model folder")
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


def read_provenance(folder: Path) -> dict[str, Any]:
    """learning_rate, samples_seen, seed, method and lambda from the folder's manifest; empty without one."""
    if not (folder / manifest.NAME).is_file():
        return {}
    config = manifest.read(folder).get("config", {})
    return {key: config[key] for key in ("learning_rate", "samples_seen", "seed", "method", "lambda") if key in config}
