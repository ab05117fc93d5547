"""A model folder as a table of tensors: where each one's bytes lie. Headers are read here, weights never.

The safetensors layout (8 bytes: the header's length; a JSON header; then the tensors' bytes) is read directly, so that a
pass over several models can fetch any stretch of a tensor into a buffer of its own, with no mapped memory left behind.
Pickled weights are never opened.
"""

import json
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_LONGEST_HEADER = 100_000_000
"""Bytes; the bound safetensors itself sets."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a checkpoint."""

    name: str
    dtype: str
    """As safetensors writes it, e.g. ``BF16``."""
    shape: tuple[int, ...]
    file: Path
    begin: int
    """Its first byte in the file."""

    @property
    def count(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * BYTES[self.dtype]


def locate(reference: str) -> Path:
    """The folder of a model: itself if it is one, else the Hub's copy of that id (``org/name`` or ``org/name@revision``).

    Raises:
        UserError: if it is neither.
    """
    folder = Path(reference)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repo, _, revision = reference.partition("@")
    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision or None,
                allow_patterns=["*.json", "*.safetensors", "*.jinja", "tokenizer.model"],
            )
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"no model at {reference!r}: no such folder from here, and not a Hub id within reach "
            "(paths in a spec are relative to where the command runs; --set NAME=PATH points elsewhere)"
        ) from error


def config_of(folder: Path) -> dict[str, Any]:
    """config.json of a model folder."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} has no config.json: it is not a (finished) model folder") from None
    except ValueError as error:
        raise UserError(f"{folder / 'config.json'} is not JSON: {error}") from error


def tensors_of(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a model folder by name, in the order of its files.

    Raises:
        UserError: if weights are missing, cut short, or only there as a pickle.
    """
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():
        return header_of(single)
    if not index.is_file():
        pickled = " (only pickled weights, which are never opened: save the model as safetensors)"
        hint = pickled if any(folder.glob("pytorch_model*.bin")) else ": the checkpoint is unfinished, or no model"
        raise UserError(f"{folder} has no model.safetensors{hint}")
    try:
        weight_map: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (ValueError, KeyError) as error:
        raise UserError(f"{index} cannot be read: the checkpoint is unfinished or damaged") from error
    found: dict[str, Tensor] = {}
    for shard in sorted(set(weight_map.values())):
        if not (folder / shard).is_file():
            raise UserError(f"{folder} lacks {shard}, which its index names: the checkpoint is unfinished")
        found |= header_of(folder / shard)
    for name in weight_map:
        if name not in found:
            raise UserError(f"{folder} lacks the tensor {name}, which its index names: the checkpoint is damaged")
    return found


def header_of(path: Path) -> dict[str, Tensor]:
    """Every tensor of one safetensors file, in the order of their bytes."""
    damaged = f"{path} is cut short or damaged: the checkpoint is unfinished"
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, _LONGEST_HEADER):
                raise UserError(damaged)
            header = json.loads(file.read(length))
        found = {
            name: Tensor(name, entry["dtype"], tuple(entry["shape"]), path, 8 + length + entry["data_offsets"][0])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise UserError(damaged) from error
    for tensor in found.values():
        if tensor.dtype not in BYTES:
            raise UserError(f"{tensor.name} in {path} is stored as {tensor.dtype}: merging needs plain floating point")
        if tensor.begin + tensor.size > size:
            raise UserError(damaged)
    return dict(sorted(found.items(), key=lambda item: item[1].begin))
