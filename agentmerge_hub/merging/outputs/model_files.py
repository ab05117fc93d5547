"""The files of a merged model beside its weights: config.json, tokenizer, processor, and the spec."""

import json
import shutil
from pathlib import Path
from typing import Any

from agentmerge_hub.merging.inputs.architecture import lookup
from agentmerge_hub.merging.inputs.checkpoint import GENERATION, TOKENIZER_FILES, read_json
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.specs.formula import OUT_DTYPES

PROCESSOR_FILES = (
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "chat_template.json",
    "normalizer.json",
)  # fmt: skip
"""What a model of images, video or sound needs besides."""

_FROM_DONOR = ("bos_token_id", "eos_token_id", "pad_token_id")
_LEFT_OUT = ("torch_dtype", "_name_or_path", "auto_map")
"""auto_map names code files that a merge does not have; transformers has the class itself (`model_configs`)."""


def config_of_merge(inputs: MergeInputs, dtype: str) -> dict[str, Any]:
    """config.json of a merge: the base model's, with the donor's token ids.

    Args:
        dtype: of the weights, as safetensors writes it.
    """
    base = inputs.models[inputs.base].config
    config = {key: value for key, value in base.items() if key not in _LEFT_OUT}
    config["dtype"] = {stored: name for name, stored in OUT_DTYPES.items()}.get(dtype, "float64")
    embeddings = inputs.architecture.embeddings
    key = inputs.architecture.vocabulary_key
    if embeddings is not None and lookup(config, key) is not None:
        parent, _, last = key.rpartition(".")
        if parent:
            config[parent] = config[parent] | {last: inputs.shapes[embeddings][0]}
        else:
            config[last] = inputs.shapes[embeddings][0]
    donor = inputs.models[inputs.donor_reference].config
    # Where a turn begins and ends is the tokenizer's: the base model's config would stop at another token.
    return config | {key: donor[key] for key in _FROM_DONOR if key in donor}


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
            shutil.copyfile(inputs.donor / name, folder / name)
    copy_processor(inputs, folder)
    (folder / spec_name).write_text(spec_text, encoding="utf-8")


def complete(inputs: MergeInputs, folder: Path) -> list[str]:
    """Add to a merge that mergekit wrote what it leaves out: generation_config.json (where the tokenizer comes from another
    model than the base) and processor files; returns the names that were added."""
    added = copy_processor(inputs, folder)
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
                shutil.copyfile(source / name, folder / name)
                added.append(name)
    return added


def drop_auto_map(folder: Path) -> None:
    """Remove auto_map from the config.json of a merge that mergekit wrote."""
    config = read_json(folder / "config.json")
    if config.pop("auto_map", None) is not None:
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
