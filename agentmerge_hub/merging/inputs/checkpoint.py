"""A model folder as a table of tensors, from its config.json, index and weight files. Pickled weights are never opened."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import strict_json
from agentmerge_hub.hub_names import check_name
from agentmerge_hub.merging.inputs.safetensors_header import Tensor, header_of

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_PLAIN_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f:]{1,200}\.safetensors")
GENERATION, TOKENIZER_CONFIG = "generation_config.json", "tokenizer_config.json"

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.model",
    "vocab.json", "merges.txt", "chat_template.jinja", GENERATION,
)  # fmt: skip
"""A model's tokenizer, and how it generates."""


def locate(reference: str) -> Path:
    """The folder of a model: the reference itself if it is one, else the Hub's copy of that id (``org/name`` or
    ``org/name@revision``).

    Raises:
        UserError: if it is neither.
    """
    folder = Path(reference)
    try:
        if folder.is_dir():
            return folder
    except (OSError, ValueError) as error:  # a name that is too long, or holds a null byte
        raise UserError(f"no model at {reference!r}: it is no path ({error})") from error
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repo, _, revision = reference.partition("@")
    advice = "(paths in a spec are relative to where the command runs; --set NAME=PATH points elsewhere)"
    try:
        check_name(repo, "model")
    except UserError as error:
        raise UserError(f"{error} {advice}") from error
    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision or None,
                allow_patterns=["*.json", "*.safetensors", "*.jinja", "tokenizer.model"],
            )
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise UserError(
            f"no model at {reference!r}: there is no such folder, and no such Hub id within reach {advice}"
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        UserError: if it cannot be read, has a key twice, or holds anything else.
    """
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no JSON object, but a {type(found).__name__}")
    return found


def config_of(folder: Path) -> dict[str, Any]:
    """config.json of a model folder."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} has no config.json: it is not a (finished) model folder")
    return read_json(folder / "config.json")


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a model's weights, in the order of their names.

    Raises:
        UserError: if weights are missing, only there as a pickle, or there twice.
    """
    index, single = folder / INDEX, folder / SINGLE
    if index.is_file() and single.is_file():
        raise UserError(
            f"{folder} has both {SINGLE} and {INDEX}: it cannot be known which holds the weights, remove the stale one"
        )
    if single.is_file():
        return [single]
    if not index.is_file():
        pickled = " (only pickled weights, which are never opened: save the model as safetensors)"
        hint = pickled if any(folder.glob("pytorch_model*.bin")) else ": the checkpoint is unfinished, or no model"
        raise UserError(f"{folder} has no {SINGLE}{hint}")
    names = sorted(set(_weight_map(index).values()))
    for name in names:
        if not _PLAIN_NAME.fullmatch(name):
            raise UserError(f"{index} names {name!r}: it may name plain .safetensors files of its own folder only")
        if not (folder / name).is_file():
            raise UserError(f"{folder} lacks {name}, which its index names: the checkpoint is unfinished")
    return [folder / name for name in names]


def tensors_of(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a model folder by name, in the order of its files.

    Raises:
        UserError: if weights are missing, cut short, stored twice, or only there as a pickle.
    """
    files = weight_files(folder)
    if files == [folder / SINGLE]:
        return header_of(files[0])
    found: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in header_of(file).items():
            if name in found:
                raise UserError(f"{name} is stored twice, in {found[name].file} and {file.name}: one of them is stale")
            found[name] = tensor
    weight_map = _weight_map(folder / INDEX)
    for name, file_name in weight_map.items():
        if name not in found:
            raise UserError(f"{folder} lacks the tensor {name}, which its index names: the checkpoint is damaged")
        if found[name].file.name != file_name:
            raise UserError(
                f"{name} is in {found[name].file}, and the index names {file_name}: the checkpoint is damaged"
            )
    for name in found.keys() - weight_map.keys():
        raise UserError(f"{found[name].file} holds {name}, which the index does not name: the checkpoint is damaged")
    return found


def _weight_map(index: Path) -> Mapping[str, str]:
    found = read_json(index).get("weight_map")
    if not isinstance(found, dict) or not found or not all(isinstance(name, str) for name in found.values()):
        raise UserError(f"{index} has no weight_map from tensors to files: the checkpoint is unfinished or damaged")
    return found
