"""Reads a model folder for publishing: its lineage, the files to publish, and findings on its weights."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs import adapter
from agentmerge_hub.merging.inputs.checkpoint import config_of, tensors_of
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.publishing.cards.model_card import Input
from agentmerge_hub.publishing.publish_checks.text_extraction import Content

TRAINED = ("sft", "preference")
"""Stages that train a model."""

STAGES = ("merge", *TRAINED, "graft")
"""Stages whose folders are published as models."""
SPEC = "mergekit_config.yml"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
_OF_TRAINING = ("run.json", "trainer_state.json", "training_args.bin", "scheduler.pt", "optimizer.pt", "scaler.pt")
"""Files that only resuming a run needs."""


def relation_of(folder: Path, stage: str) -> str:
    """Relation to the base models in the Hub's terms: ``merge``, ``finetune`` or ``adapter``."""
    if adapter.is_adapter(folder):
        return "adapter"
    return "merge" if stage == "merge" else "finetune"


def files_to_publish(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Names of the files to publish; of a training run the final model only, without checkpoints and trainer state."""
    names = sorted(content["outputs"])
    if content["stage"] in TRAINED:
        names = [name for name in names if "/" not in name and not name.startswith("rng_state")]
        names = [name for name in names if name not in _OF_TRAINING and not name.endswith(".parquet")]
    return [name for name in names if (folder / name).is_file()]


def inputs_of(folder: Path, content: Mapping[str, Any]) -> list[Input]:
    """The model's inputs, from its manifest and, for a merge, its spec."""
    spec, config = folder / SPEC, content["config"]
    names = specs.read(spec).names if spec.is_file() else {}
    if content["stage"] == "graft":
        names = {"instruct": adapter.config_of_adapter(folder).get("base_model_name_or_path")}
    inputs = []
    for role, entry in content["inputs"].items():
        # A model from the Hub is read from the cache, where the folder name is the commit.
        from_cache = bool(_COMMIT.fullmatch(entry["name"])) and role in names
        inner_names = ", ".join(inner["name"] for inner in entry.get("inputs", {}).values())
        made_by = f"`{entry['stage']}`" + (f" from {inner_names}" if inner_names else "") if entry.get("stage") else ""
        name = str(names[role]).partition("@")[0] if from_cache else entry["name"]
        inputs.append(Input(role, name, entry["name"] if from_cache else "", entry["sha256"], made_by, from_cache))
    # Inputs that a run read from the Hub are in its config and have no folder to hash.
    keys = {"model": "model", "dataset": "dataset", "replay": "replay_dataset"} if content["stage"] in TRAINED else {}
    read = {role: config.get(key) for role, key in keys.items() if role not in content["inputs"]}
    return [*inputs, *(Input(role, name, "", "", "", True) for role, name in read.items() if name)]


def check_weights(folder: Path, files: Sequence[str]) -> list[str]:
    """Findings: weights that are not safetensors, incomplete weights, files with code."""
    findings = [
        f"{name} is a pickle or can hold code: publish safetensors only"
        for name in files
        if any(Path(name).match(pattern) for pattern in _PICKLES)
    ]
    try:
        if adapter.is_adapter(folder):
            adapter.config_of_adapter(folder)
            adapter.factors_of(folder)
        elif not tensors_of(folder):
            findings.append("its weights hold no tensor")
        elif "auto_map" in config_of(folder):
            findings.append(
                "config.json loads remote code (auto_map): publish an architecture that transformers includes"
            )
        weights_hash(folder)
    except UserError as error:
        findings.append(str(error))
    return findings


def renamed_base(folder: Path, base_model: str) -> dict[str, Content]:
    """adapter_config.json with the base model's Hub id; empty for a full model."""
    if not adapter.is_adapter(folder):
        return {}
    config = adapter.config_of_adapter(folder) | {"base_model_name_or_path": base_model}
    return {adapter.CONFIG: f"{json.dumps(config, indent=2, sort_keys=True)}\n".encode()}
