"""The inputs of a merge, opened and compared before the first byte is written.

Specs enter; one table of tensors a model leaves. Merging models that do not fit together gives a model that loads and
talks nonsense, so every mismatch is an error here: architecture, tensors, shapes, vocabulary, chat template.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.adapter import Adapted, adapt, config_of_adapter, is_adapter
from agentmerge_hub.merging.checkpoint import Tensor, config_of, locate, tensors_of
from agentmerge_hub.merging.spec import Spec, donor_of, references_of, tokenizer_source_of

VOCABULARY_TENSORS = ("model.embed_tokens.weight", "lm_head.weight")
"""Rows are tokens; mergekit trims rows beyond the last token where the spec names a tokenizer source."""

FLOATS = ("BF16", "F16", "F32", "F64")


@dataclass(frozen=True)
class Inputs:
    """What a merge reads."""

    folders: Mapping[str, Path]
    """Reference → folder; an adapter's is its own."""
    adapted: Mapping[str, Path]
    """Reference of an adapter → folder of the model it was trained on."""
    tensors: Mapping[str, Mapping[str, Tensor | Adapted]]
    """Reference → tensors by name."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of every tensor of the merge, in the order they are written."""
    layers: int
    donor: Path
    """The model that gives the tokenizer."""
    config: Mapping[str, Any]
    """config.json of the base model."""
    donor_config: Mapping[str, Any]
    """config.json of the donor."""


def open_inputs(spec: Spec) -> Inputs:
    """Find and compare the models of a spec.

    Raises:
        UserError: at the first thing that does not fit.
    """
    references, donor_reference = references_of(spec), donor_of(spec)
    folders = {reference: locate(reference.partition("+")[2] or reference) for reference in references}
    base = spec.config.get("base_model") or references[0]
    models = {reference: _open(reference, folders[reference]) for reference in references}
    tensors = {reference: found for reference, (found, _) in models.items()}
    configs = {reference: config_of(folder) for reference, (_, folder) in models.items()}
    adapted = {reference: folder for reference, (_, folder) in models.items() if folder != folders[reference]}
    for reference in references:
        _same_architecture(reference, configs[reference], base, configs[base])
        _same_tensors(reference, tensors[reference], base, tensors[base])
    donor = folders[donor_reference]
    rows = _same_vocabulary(folders, donor_reference)
    if tokenizer_source_of(spec.config) is None:
        rows = None
    _same_template(folders, donor_reference, base)
    shapes = {name: _shape(tensor, rows) for name, tensor in tensors[base].items()}
    layers = configs[base].get("num_hidden_layers", 0)
    return Inputs(folders, adapted, tensors, shapes, layers, donor, configs[base], configs[donor_reference])


def _open(reference: str, folder: Path) -> tuple[dict[str, Tensor | Adapted], Path]:
    """Tensors of a model and the folder of its config.json; of an adapter (``adapter`` or ``model+adapter``), the tensors it
    makes of its base, and the base's folder."""
    model, _, lora = reference.partition("+")
    if not lora and not is_adapter(folder):
        return dict(tensors_of(folder)), folder
    if not lora:
        model = str(config_of_adapter(folder).get("base_model_name_or_path"))
    try:
        base = locate(model)
    except UserError as error:
        raise UserError(
            f"the adapter {folder} was trained on {model!r}, which is not here: write MODEL+{reference} in the spec"
        ) from error
    return adapt(folder, tensors_of(base), model), base


def _same_architecture(name: str, config: Mapping[str, Any], base: str, wanted: Mapping[str, Any]) -> None:
    for key in ("architectures", "num_hidden_layers", "hidden_size"):
        if config.get(key) != wanted.get(key):
            raise UserError(
                f"{name} does not fit {base}: its {key} is {_plain(config.get(key))}, not {_plain(wanted.get(key))}"
            )


def _plain(value: Any) -> str:
    return ", ".join(value) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _same_tensors(
    name: str, tensors: Mapping[str, Tensor | Adapted], base: str, wanted: Mapping[str, Tensor | Adapted]
) -> None:
    for missing in wanted.keys() - tensors.keys():
        raise UserError(f"{name} lacks the tensor {missing}, which {base} has")
    for extra in tensors.keys() - wanted.keys():
        raise UserError(f"{name} has a tensor {extra}, which {base} lacks")
    for key, tensor in tensors.items():
        if tensor.dtype not in FLOATS:
            raise UserError(f"{key} of {name} is stored as {tensor.dtype}: merging needs floating point")
        if tensor.shape != wanted[key].shape:
            raise UserError(
                f"{key} of {name} is {list(tensor.shape)}, of {base} {list(wanted[key].shape)}: they cannot be merged"
            )


def vocabulary(folder: Path) -> dict[str, int]:
    """Token → id of a model folder's tokenizer, added tokens too.

    Raises:
        UserError: if it has no tokenizer.json.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"{folder} has no tokenizer.json: a merge takes its tokenizer from there")
    return Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)


def _same_vocabulary(folders: Mapping[str, Path], donor: str) -> int:
    """Size of the vocabulary all inputs share; a folder without a tokenizer is taken to share it."""
    text = (folders[donor] / "tokenizer.json").read_bytes() if (folders[donor] / "tokenizer.json").is_file() else b""
    wanted = vocabulary(folders[donor])
    if sorted(wanted.values()) != list(range(len(wanted))):
        raise UserError(f"the token ids of {donor} are not 0 … {len(wanted) - 1}: the rows of a merge would shift")
    for reference, folder in folders.items():
        path = folder / "tokenizer.json"
        if not path.is_file() or path.read_bytes() == text:
            continue
        other = vocabulary(folder)
        if other != wanted:
            token = next((token for token in {**wanted, **other} if wanted.get(token) != other.get(token)), "")
            raise UserError(
                f"the vocabulary of {reference} is not that of {donor}: {token!r} is token {other.get(token)} there "
                f"and {wanted.get(token)} here"
            )
    return len(wanted)


def _same_template(folders: Mapping[str, Path], donor: str, base: str) -> None:
    wanted = template_of(folders[donor])
    if not wanted:
        raise UserError(
            f"{donor} has no chat template, and gives the tokenizer: set tokenizer_source to the instruct model"
        )
    for reference, folder in folders.items():
        own = template_of(folder)
        if own and own != wanted and reference != base:
            raise UserError(f"the chat template of {reference} is not that of {donor}: it was trained on other prompts")


def template_of(folder: Path) -> str | None:
    """The chat template of a model folder, read without loading its tokenizer."""
    if (folder / "chat_template.jinja").is_file():
        return (folder / "chat_template.jinja").read_text(encoding="utf-8").strip()
    try:
        found = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError):
        return None
    return found.strip() if isinstance(found, str) else None


def _shape(tensor: Tensor | Adapted, rows: int | None) -> tuple[int, ...]:
    if rows is None or tensor.name not in VOCABULARY_TENSORS:
        return tensor.shape
    if tensor.shape[0] < rows:
        raise UserError(f"{tensor.name} has {tensor.shape[0]} rows for a vocabulary of {rows} tokens")
    return (rows, *tensor.shape[1:])
