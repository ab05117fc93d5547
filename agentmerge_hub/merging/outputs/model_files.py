"""The files of a merged model beside its weights: config.json, tokenizer, processor, and the spec."""

import json
import shutil
from pathlib import Path
from typing import Any

from agentmerge_hub.merging.inputs.architecture import lookup
from agentmerge_hub.merging.inputs.chat_templates import FILE as TEMPLATE
from agentmerge_hub.merging.inputs.chat_templates import MORE_FOLDER, template_of
from agentmerge_hub.merging.inputs.checkpoint import GENERATION, TOKENIZER_CONFIG, TOKENIZER_FILES, read_json
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.specs.formula import OUT_DTYPES

PROCESSOR_FILES = (
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "chat_template.json",
    "normalizer.json",
)  # fmt: skip
"""What a model of images, video or sound needs besides."""

STORED_DTYPES = {stored: name for name, stored in OUT_DTYPES.items()}
"""Type as safetensors writes it → as config.json does."""

_FROM_DONOR = ("bos_token_id", "eos_token_id", "pad_token_id")
_LEFT_OUT = ("torch_dtype", "_name_or_path", "auto_map")
"""auto_map names code files that a merge does not have; transformers has the class itself (`model_configs`)."""


def config_of_merge(inputs: MergeInputs, dtype: str) -> dict[str, Any]:
    """config.json of a merge: the base model's, with the donor's token ids.

    Args:
        dtype: of the weights, as safetensors writes it.
    """
    base = inputs.models[inputs.base].config
    config = with_sizes({key: value for key, value in base.items() if key not in _LEFT_OUT}, inputs)
    config["dtype"] = STORED_DTYPES.get(dtype, "float64")
    donor = inputs.models[inputs.donor_reference].config
    # Where a turn begins and ends is the tokenizer's: the base model's config would stop at another token.
    return config | {key: donor[key] for key in _FROM_DONOR if key in donor}


def with_sizes(config: dict[str, Any], inputs: MergeInputs) -> dict[str, Any]:
    """A base model's config with the merge's numbers of rows and layers."""
    embeddings = inputs.architecture.embeddings
    sizes = dict(inputs.layer_counts)
    if embeddings is not None:
        sizes[inputs.architecture.vocabulary_key] = inputs.shapes[embeddings][0]
    for key, size in sizes.items():
        if lookup(config, key) is not None:
            config = _with_value(config, key, size)
    return config


def _with_value(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A config with one value replaced; a dotted key is one of a nested config."""
    parent, _, last = key.rpartition(".")
    return config | ({parent: config[parent] | {last: value}} if parent else {last: value})


def write(spec_text: str, spec_name: str, inputs: MergeInputs, folder: Path, dtype: str) -> None:
    """Write what a merged model has beside its weights.

    Args:
        spec_name: the file's name for the spec.
        dtype: of the weights, as safetensors writes it.
    """
    text = json.dumps(config_of_merge(inputs, dtype), indent=2, sort_keys=True)
    (folder / "config.json").write_text(f"{text}\n", encoding="utf-8")
    for name in TOKENIZER_FILES:
        if (inputs.donor / name).is_file():
            _copy(inputs.donor / name, folder / name)
    for path in sorted((inputs.donor / MORE_FOLDER).glob("*.jinja")):
        (folder / MORE_FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(path, folder / MORE_FOLDER / path.name)
    copy_processor(inputs, folder)
    (folder / spec_name).write_text(spec_text, encoding="utf-8")


def complete(inputs: MergeInputs, folder: Path) -> list[str]:
    """Add to a merge that mergekit wrote what it leaves out: generation_config.json (where the tokenizer comes from another
    model than the base), the chat template of a union, and processor files; returns the names that were added."""
    added = copy_processor(inputs, folder)
    if inputs.rows.aligned_by_mergekit and not template_of(folder) and (template := template_of(inputs.donor)):
        (folder / TEMPLATE).write_text(template, encoding="utf-8")
        added.append(TEMPLATE)
    if not (folder / GENERATION).exists() and (inputs.donor / GENERATION).is_file():
        shutil.copyfile(inputs.donor / GENERATION, folder / GENERATION)
        added.append(GENERATION)
    return added


def copy_processor(inputs: MergeInputs, folder: Path) -> list[str]:
    """Bring the processor's files, of the donor or else of the base model; returns the names that were added."""
    added = []
    for name in dict.fromkeys((*PROCESSOR_FILES, *inputs.architecture.processor_files)):
        for source in (inputs.donor, inputs.models[inputs.base].base_folder):
            if (source / name).is_file() and not (folder / name).exists():
                _copy(source / name, folder / name)
                added.append(name)
    return added


def drop_auto_map(folder: Path) -> None:
    """Remove auto_map from the configurations of a merge that mergekit wrote."""
    for name in ("config.json", TOKENIZER_CONFIG):
        if (folder / name).is_file():
            _copy(folder / name, folder / name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file, a configuration without its auto_map."""
    settings = read_json(source) if source.name.endswith("config.json") else {}
    if settings.pop("auto_map", None) is not None:
        target.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    elif source != target:
        shutil.copyfile(source, target)
