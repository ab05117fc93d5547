"""A model's folder, read for publishing: how it came about, which of its files go, and what is wrong with its weights."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import adapter
from agentmerge_hub.merging import spec as specs
from agentmerge_hub.merging.checkpoint import config_of, tensors_of
from agentmerge_hub.publishing.model_card import Input
from agentmerge_hub.publishing.texts import Content

STAGES = ("merge", "sft", "graft")
"""Stages whose folders are published as models."""
SPEC = "mergekit_config.yml"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
_OF_TRAINING = ("run.json", "trainer_state.json", "training_args.bin", "scheduler.pt", "optimizer.pt", "scaler.pt")
"""What a run or checkpoint needs to go on, and nobody who loads the model."""


def relation_of(folder: Path, stage: str) -> str:
    """How the Hub calls what the model is to its base models: ``merge``, ``finetune`` or ``adapter``."""
    if adapter.is_adapter(folder):
        return "adapter"
    return "merge" if stage == "merge" else "finetune"


def published(folder: Path, content: Mapping[str, Any]) -> list[str]:
    """Names of the folder's files that go: of a run, the final model alone, without checkpoints and its trainer's state."""
    names = sorted(content["outputs"])
    if content["stage"] == "sft":
        names = [name for name in names if "/" not in name and not name.startswith("rng_state")]
        names = [name for name in names if name not in _OF_TRAINING and not name.endswith(".parquet")]
    return [name for name in names if (folder / name).is_file()]


def inputs_of(folder: Path, content: Mapping[str, Any]) -> list[Input]:
    """What the model was made of, as its manifest and, where it was merged, its spec name it."""
    spec, config = folder / SPEC, content["config"]
    names = specs.read(spec).names if spec.is_file() else {}
    if content["stage"] == "graft":
        names = {"instruct": adapter.config_of_adapter(folder).get("base_model_name_or_path")}
    found = []
    for role, entry in content["inputs"].items():
        # A model that came from the Hub was read from the cache, where its folder is named by the commit.
        from_cache = bool(_COMMIT.fullmatch(entry["name"])) and role in names
        made_of = ", ".join(inner["name"] for inner in entry.get("inputs", {}).values())
        made_by = f"`{entry['stage']}`" + (f" from {made_of}" if made_of else "") if entry.get("stage") else ""
        name = str(names[role]).partition("@")[0] if from_cache else entry["name"]
        found.append(Input(role, name, entry["name"] if from_cache else "", entry["sha256"], made_by, from_cache))
    # What a run read from the Hub is named in its settings, and has no folder to hash.
    keys = {"model": "model", "dataset": "dataset", "replay": "replay_dataset"} if content["stage"] == "sft" else {}
    read = {role: config.get(key) for role, key in keys.items() if role not in content["inputs"]}
    return [*found, *(Input(role, name, "", "", "", True) for role, name in read.items() if name)]


def check_weights(folder: Path, files: Sequence[str]) -> list[str]:
    """Weights that are not safetensors, lack a piece, or bring code with them."""
    findings = [
        f"{name} is a pickle or of a kind that can hide code: publish safetensors alone"
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
            findings.append("config.json asks for code to be run (auto_map): publish a model that transformers knows")
        weights_hash(folder)
    except UserError as error:
        findings.append(str(error))
    return findings


def renamed_base(folder: Path, base_model: str) -> dict[str, Content]:
    """An adapter's settings with the model it is loaded on as the Hub names it; nothing for a whole model."""
    if not adapter.is_adapter(folder):
        return {}
    config = adapter.config_of_adapter(folder) | {"base_model_name_or_path": base_model}
    return {adapter.CONFIG: f"{json.dumps(config, indent=2, sort_keys=True)}\n".encode()}
