"""Compares the files of a merged model beside its weights with what its inputs give; names files that nothing explains."""

import json
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.content_hash import file_hash, is_hidden
from agentmerge_hub.merging.inputs.architecture import lookup
from agentmerge_hub.merging.inputs.checkpoint import (
    GENERATION,
    INDEX,
    TOKENIZER_FILES,
    config_of,
    read_json,
    tensors_of,
)
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.model_configs import TOKEN_IDS, changed_keys, keys_unknown_to_class
from agentmerge_hub.merging.outputs.model_checks import load_tokenizer
from agentmerge_hub.merging.outputs.model_files import PROCESSOR_FILES, config_of_merge, with_value
from agentmerge_hub.merging.specs.spec import SPEC_FILE

_HARMLESS = {
    "",
    ".md",
    ".txt",
    ".yml",
    ".yaml",
    ".json",
    ".jsonl",
    ".jinja",
    ".png",
    ".jpg",
    ".svg",
    ".csv",
    ".html",
    ".pdf",
}
"""Types of files that are read by people, or as data."""

_TOKENIZER_SETTINGS = (
    "bos_token", "eos_token", "pad_token", "unk_token", "add_bos_token", "add_eos_token", "padding_side", "truncation_side",
    "model_max_length", "clean_up_tokenization_spaces",
)  # fmt: skip

_OTHER_TOKENIZER_FILES = ("tokenizer.model", "vocab.json", "merges.txt")
"""The vocabulary for programs that do not read tokenizer.json."""

_CODE = (".py", ".pyc", ".so")


def findings(folder: Path, inputs: MergeInputs) -> list[str]:
    """What is wrong with the files of a merged model besides weights, one sentence each; empty if nothing is."""
    return [
        *_config(folder, inputs),
        *_generation_config(folder, inputs),
        *_tokenizer(folder, inputs),
        *_processor(folder, inputs),
        *_unexplained_files(folder, inputs),
    ]


def _config(folder: Path, inputs: MergeInputs) -> list[str]:
    found = config_of(folder)
    dtype = next(iter(tensors_of(folder).values())).dtype
    expected = config_of_merge(inputs, dtype)
    if inputs.rows.aligned_by_mergekit and inputs.rows.count is None:
        expected = _with_vocabulary(expected, found, inputs)
    wrong = changed_keys(found, expected, f"{folder / 'config.json'}")
    if found.get("architectures") != expected.get("architectures"):
        wrong.append(f"config.json names {found.get('architectures')}, the inputs are {expected.get('architectures')}")
    stored = found.get("dtype") or found.get("torch_dtype")
    if stored is not None and stored != expected["dtype"]:
        wrong.append(f"config.json says dtype {stored}, and the weights are {expected['dtype']}")
    sources = (inputs.models[inputs.base].config, inputs.models[inputs.donor_reference].config)
    # Keys that the model's class does not define can act all the same, e.g. quantization_config and auto_map.
    copied = (TOKEN_IDS & found.keys()) | keys_unknown_to_class(found)
    wrong += [
        f"config.json has {key} {found[key]}, which is none of its inputs'"
        for key in sorted(copied)
        if found[key] is not None and all(found[key] != source.get(key) for source in sources)
    ]
    return wrong


def _with_vocabulary(expected: dict[str, Any], found: dict[str, Any], inputs: MergeInputs) -> dict[str, Any]:
    """The expected config with the number of tokens that mergekit's union has; it is compared with the rows elsewhere."""
    key = inputs.architecture.vocabulary_key
    return with_value(expected, key, lookup(found, key))


def _generation_config(folder: Path, inputs: MergeInputs) -> list[str]:
    if not (folder / GENERATION).is_file():
        return []
    found = _without_version(read_json(folder / GENERATION))
    sources = (inputs.donor, inputs.models[inputs.base].base_folder)
    expected = [_without_version(read_json(path / GENERATION)) for path in sources if (path / GENERATION).is_file()]
    if found in expected:
        return []
    if not expected:
        return [f"{GENERATION} is in none of its inputs"]
    keys = sorted(key for key in found.keys() | expected[0].keys() if found.get(key) != expected[0].get(key))
    return [f"{GENERATION} has other values than that of {inputs.donor}: {', '.join(keys)}"]


def _without_version(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in ("transformers_version", "_from_model_config")}


def _tokenizer(folder: Path, inputs: MergeInputs) -> list[str]:
    """Differences in how text becomes tokens; a union that mergekit built is its own."""
    if inputs.rows.aligned_by_mergekit:
        return []
    donor = inputs.donor
    found, expected, rebuilt = load_tokenizer(folder), load_tokenizer(donor), _rebuilt(donor)
    wrong = _tokenizer_differences(found, expected, donor)
    if wrong and rebuilt is not None and not _tokenizer_differences(found, rebuilt, donor):
        wrong = []  # mergekit saves what transformers' class for the model makes of the donor's files
    if not wrong and rebuilt is not None:
        again = _rebuilt(folder)
        wrong = ["its tokenizer_config.json names a class that does not load it"]
        if again is not None:
            differences = _tokenizer_differences(again, rebuilt, donor)
            wrong = [f"as its tokenizer_config.json loads it, {difference}" for difference in differences]
    return wrong + [
        f"{name} is not that of {donor}"
        for name in _OTHER_TOKENIZER_FILES
        if (folder / name).is_file()
        and (donor / name).is_file()
        and file_hash(folder / name) != file_hash(donor / name)
    ]


def _rebuilt(folder: Path) -> Any:
    """A folder's tokenizer as its own class builds it; None where that fails. No code of the folder is run."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError):
        return None
    return tokenizer if getattr(tokenizer, "backend_tokenizer", None) is not None else None


def _tokenizer_differences(found: Any, expected: Any, donor: Path) -> list[str]:
    ours, theirs = _backend(found), _backend(expected)
    wrong = [
        f"tokenizer.json has another {part} than that of {donor}"
        for part in sorted(ours.keys() | theirs.keys())
        if ours.get(part) != theirs.get(part)
    ]
    for name in _TOKENIZER_SETTINGS:
        token, right = getattr(found, name, None), getattr(expected, name, None)
        if str(token) != str(right):
            wrong.append(f"the tokenizer's {name} is {token}, and that of {donor} {right}")
    return wrong


def _backend(tokenizer: Any) -> dict[str, Any]:
    """tokenizer.json's content without limits on length, which a caller sets."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in content.items() if key not in ("truncation", "padding", "version")}


def _processor(folder: Path, inputs: MergeInputs) -> list[str]:
    wrong = []
    for name in dict.fromkeys((*PROCESSOR_FILES, *inputs.architecture.processor_files)):
        if not (folder / name).is_file() or name in TOKENIZER_FILES:
            continue
        sources = (inputs.donor, inputs.models[inputs.base].base_folder)
        if not any((path / name).is_file() and read_json(path / name) == read_json(folder / name) for path in sources):
            wrong.append(f"{name} is not that of its inputs")
    return wrong


def _unexplained_files(folder: Path, inputs: MergeInputs) -> list[str]:
    """Files that belong to no merge and can hold code or other weights."""
    weights = {tensor.file.name for tensor in tensors_of(folder).values()}
    known = {*weights, *TOKENIZER_FILES, *PROCESSOR_FILES, INDEX, SPEC_FILE, manifest.NAME, "config.json", GENERATION}
    wrong = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name in known or (is_hidden(name) and path.suffix.lower() not in _CODE):
            continue
        if path.suffix.lower() not in _HARMLESS:
            wrong.append(f"{name} belongs to no merge: a file of this type can hold code or other weights, remove it")
        elif name == "adapter_config.json":
            wrong.append(f"{name} makes loaders look for an adapter: remove it")
    return wrong
