"""Compares the files of a merged model beside its weights with what its inputs give, and names those that are not compared.

A file that loaders read is compared, or it is a finding. Every other file is one too if its type can hold code or weights;
the rest (notes, images, data) is listed as not checked.
"""

import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from safetensors import safe_open

from agentmerge_hub import manifest
from agentmerge_hub.files import locks
from agentmerge_hub.files.content_hash import is_hidden
from agentmerge_hub.files.strict_json import is_same
from agentmerge_hub.merging.inputs.chat_templates import MORE_FOLDER
from agentmerge_hub.merging.inputs.checkpoint import GENERATION, INDEX, read_json, tensors_of, weight_files
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.model_configs import plain
from agentmerge_hub.merging.outputs import tokenizer_comparison
from agentmerge_hub.merging.outputs.config_comparison import (
    config_findings,
    foreign_names,
    generation_findings,
    left_out,
    with_auto_map_of,
)
from agentmerge_hub.merging.outputs.model_files import PROCESSOR_FILES
from agentmerge_hub.merging.specs.spec import SPEC_FILE

_HARMLESS = {
    "", ".md", ".txt", ".yml", ".yaml", ".json", ".jsonl", ".jinja", ".png", ".jpg", ".svg", ".csv", ".html", ".pdf",
}  # fmt: skip
"""Types of files that are read by people, or as data."""

_GGUF = ".gguf"
"""Made of the merged weights by `agentmerge gguf`, which compares them and adds the file to the manifest."""

_CODE = (".py", ".pyc", ".so")

_LOADED = {
    "adapter_config.json": "an adapter",
    "quantize_config.json": "quantized weights",
    "quantization_config.json": "quantized weights",
    "hf_quant_config.json": "quantized weights",
    "quant_config.json": "quantized weights",
    "params.json": "weights in Mistral's format",
    "tekken.json": "a tokenizer in Mistral's format",
    "modules.json": "a pipeline of models",
    "model_index.json": "a pipeline of models",
    "vocab.txt": "a vocabulary",
    "spiece.model": "a vocabulary",
}
"""Files that a merge never has, and what loaders that find them look for."""


def findings(folder: Path, inputs: MergeInputs, scratch: Path, *, streamed: bool, again: Path | None) -> list[str]:
    """What is wrong with the files of a merged model besides its tensors, one sentence each; empty if nothing is.

    Args:
        scratch: an existing folder for temporary files.
        streamed: the streaming pass here can make the merge.
        again: the merge as mergekit made it again, if it was run.
    """
    return [
        *config_findings(folder, inputs, streamed=streamed, again=again),
        *generation_findings(folder, inputs),
        *tokenizer_comparison.tokenizer_findings(folder, inputs, scratch, streamed=streamed, again=again),
        *_processor(folder, inputs),
        *_weight_files(folder),
        *_unexplained_files(folder, inputs),
    ]


def unchecked_files(folder: Path, inputs: MergeInputs) -> list[str]:
    """Names of the files that were compared with nothing: the card, notes, images; hidden folders as one name."""
    known = _known(folder, inputs)
    others = [path.relative_to(folder) for path in _files(folder) if path.relative_to(folder).as_posix() not in known]
    names = [f"{path.parts[0]}/" if path.parts[0].startswith(".") and path.parts[1:] else str(path) for path in others]
    names = [
        f"{name} (`agentmerge push model` compares its weights)" if name.endswith(_GGUF) else name for name in names
    ]
    index = read_json(folder / INDEX).get("metadata") if (folder / INDEX).is_file() else None
    claimed = index.get("mergekit_version") if isinstance(index, dict) else None
    claims = [f"{INDEX}: mergekit_version {plain(claimed)}"] if claimed not in (None, version("mergekit")) else []
    return [*map(plain, dict.fromkeys(names)), *foreign_names(folder, inputs), *left_out(folder, inputs), *claims]


def compared_files(folder: Path, inputs: MergeInputs) -> set[str]:
    """Names of the files of a merged model that are compared, without its manifest."""
    known = _known(folder, inputs) - {manifest.NAME}
    return {name for name in known if (folder / name).is_file()}


def special_files(folder: Path) -> list[str]:
    """A sentence for each link that leads to no file, pipe or device in a folder: nothing is read from or written to them."""
    return [
        f"{plain(path.relative_to(folder))} is no file, but a link that leads to none or a special file: remove it"
        for path in _files(folder)
        if not path.is_file()
    ]


def _processor(folder: Path, inputs: MergeInputs) -> list[str]:
    wrong = []
    for name in _processor_names(inputs):
        sources = [path / name for path in (inputs.donor, inputs.models[inputs.base].base_folder)]
        present = [path for path in sources if path.is_file()]
        if not (folder / name).is_file():
            wrong += [f"{name} is missing"] if present else []
        elif not any(_same(folder / name, path) for path in present):
            wrong.append(f"{name} is not that of its inputs")
    return wrong


def _processor_names(inputs: MergeInputs) -> list[str]:
    names = dict.fromkeys((*PROCESSOR_FILES, *inputs.architecture.processor_files))
    return [name for name in names if name not in (*tokenizer_comparison.FILES, GENERATION)]


def _same(found: Path, expected: Path) -> bool:
    if found.suffix == ".json":
        return is_same(content := read_json(found), with_auto_map_of(read_json(expected), content))
    return found.read_bytes() == expected.read_bytes()


def _weight_files(folder: Path) -> Iterator[str]:
    """What weight files and their index say of themselves, and is not so."""
    for path in weight_files(folder):
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
        if metadata != {"format": "pt"} and metadata:
            yield f"{path.name} has the metadata {json.dumps(metadata)[:100]}, and a merge writes the format pt alone"
    if not (folder / INDEX).is_file():
        return
    index = read_json(folder / INDEX)
    described = index.get("metadata", {})
    if not isinstance(described, dict) or index.keys() - {"metadata", "weight_map"}:
        yield f"{INDEX} holds more than a weight_map and its metadata"
        return
    for key in described.keys() - {"total_size", "mergekit_version"}:
        yield f"{INDEX} has {key} in its metadata, which no merge writes"
    total = sum(tensor.size for tensor in tensors_of(folder).values())
    if described.get("total_size", total) != total:
        yield f"{INDEX} says total_size {described['total_size']}, and the tensors have {total} bytes"


def _known(folder: Path, inputs: MergeInputs) -> set[str]:
    """Names of the files that are compared."""
    weights = {path.name for path in weight_files(folder)}
    templates = {path.relative_to(folder).as_posix() for path in (folder / MORE_FOLDER).glob("*")}
    names = {*weights, *templates, *tokenizer_comparison.FILES, *_processor_names(inputs)}
    return names | {INDEX, SPEC_FILE, manifest.NAME, "config.json", GENERATION}


def _files(folder: Path) -> list[Path]:
    """Every file below a folder; a link to a folder, and what is neither file nor folder, counts as one."""
    found = []
    for place, folders, names in os.walk(folder):
        paths = [Path(place, name) for name in (*names, *folders)]
        found += [path for path in paths if path.is_symlink() or not path.is_dir()]
    return sorted(set(found) - {folder / locks.NAME})


def _unexplained_files(folder: Path, inputs: MergeInputs) -> Iterator[str]:
    """Files that belong to no merge and can hold code or other weights."""
    known = _known(folder, inputs)
    recorded = manifest.read(folder)["outputs"] if (folder / manifest.NAME).is_file() else {}
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if name in known:
            continue
        elif name in _LOADED:
            yield f"{name} makes loaders look for {_LOADED[name]}: remove it"
        elif path.suffix == _GGUF and not is_hidden(name):
            if name not in recorded:
                yield f"{plain(name)} is in no manifest: remove it, and make it with `agentmerge gguf` once this is verified"
        elif path.suffix.lower() in _CODE or (not is_hidden(name) and path.suffix.lower() not in _HARMLESS):
            yield f"{plain(name)} belongs to no merge: a file of this type can hold code or other weights, remove it"
