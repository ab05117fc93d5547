"""Reads a model folder for publishing: its lineage, the files to publish, and findings on its weights."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.content_hash import file_hash
from agentmerge_hub.merging.inputs import adapter
from agentmerge_hub.merging.inputs.checkpoint import tensors_of, weight_files
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.plural import counted
from agentmerge_hub.publishing.cards.model_card import Input
from agentmerge_hub.publishing.gguf.compare import compare
from agentmerge_hub.publishing.publish_checks.text_extraction import Content

STAGES = ("merge", *manifest.TRAINED, "graft")
"""Stages whose folders are published as models."""
DATA_ROLES = ("dataset", "replay")
"""Roles of inputs that are data."""
_NO_BASE = (*DATA_ROLES, "tokenizer")
"""Roles of inputs that are no base model."""
SPEC = "mergekit_config.yml"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SNAPSHOT = re.compile(r"(?:.*/)?models--([\w.-]+?)--([\w.-]+)/snapshots/[0-9a-f]{40}/?")
_INSTRUCT = re.compile(r"instruct|chat|[-_]it\b", re.IGNORECASE)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
_OF_TRAINING = ("run.json", "trainer_state.json", "training_args.bin", "scheduler.pt", "optimizer.pt", "scaler.pt")
"""Files that only resuming a run needs."""


def relation_of(folder: Path, stage: str) -> str:
    """Relation to the base models in the Hub's terms: ``merge``, ``finetune`` or ``adapter``."""
    if adapter.is_adapter(folder):
        return "adapter"
    return "merge" if stage == "merge" else "finetune"


def files_to_publish(content: Mapping[str, Any]) -> list[str]:
    """Names of the files to publish; of a training run the final model only, without checkpoints and trainer state."""
    names = sorted(content["outputs"])
    if content["stage"] in manifest.TRAINED:
        names = [name for name in names if "/" not in name and not name.startswith("rng_state")]
        names = [name for name in names if name not in _OF_TRAINING and not name.endswith(".parquet")]
    return names


def read_model_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a model folder; for the adapter folder of a run, the run's manifest with the adapter's files.

    Raises:
        UserError: if there is none.
    """
    run = None if (folder / manifest.NAME).is_file() else manifest.of_part(folder)
    return run or manifest.read(folder)


def check_unchanged(folder: Path, content: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Findings on files that are missing, or that a stage did not write as they are now.

    Args:
        content: of `read_model_manifest`.
        names: of `files_to_publish`.

    Raises:
        UserError: if no stage whose models are published wrote the folder.
    """
    if content["stage"] not in STAGES:
        accepted = " or ".join(f"`{stage}`" for stage in STAGES)
        raise UserError(f"{folder} was written by `{content['stage']}`: only output of {accepted} can be published.")
    found = []
    for name in names:
        if not (folder / name).is_file():
            found.append(f"{name} is missing: run the stage again, or restore the file")
        elif file_hash(folder / name) != content["outputs"][name]["sha256"]:
            found.append(f"{name} was changed since it was written: run the stage again, or restore the file")
    return found


def inputs_of(folder: Path, content: Mapping[str, Any]) -> list[Input]:
    """The model's inputs, from its manifest and, for a merge, its spec. A local input is named by its role."""
    names = model_names(folder)
    if content["stage"] == "graft":
        names = {"instruct": adapter.config_of_adapter(folder).get("base_model_name_or_path")}
    inputs = []
    for role, entry in content["inputs"].items():
        # A model from the Hub is read from the cache, where the folder name is the commit.
        hub_id = (
            _hub_id(str(names[role]), entry["name"]) if role in names and _COMMIT.fullmatch(entry["name"]) else None
        )
        inner_roles = ", ".join(entry.get("inputs", {}))
        made_by = f"`{entry['stage']}`" + (f" from {inner_roles}" if inner_roles else "") if entry.get("stage") else ""
        commit = entry["name"] if hub_id else ""
        inputs.append(Input(role, hub_id or role, commit, entry["sha256"], made_by, hub_id is not None))
    return [*inputs, *(Input(role, name, "", "", "", True) for role, name in _read_from_hub(content).items())]


def _hub_id(reference: str, folder_name: str) -> str | None:
    """The Hub id of a model that was read from the cache, by its id or by the path of its copy there; None for another path."""
    copy = _SNAPSHOT.fullmatch(reference)
    name = f"{copy[1]}/{copy[2]}" if copy else reference.partition("@")[0]
    is_path = name.startswith(("/", ".", "~")) or name.count("/") > 1 or Path(name).name == folder_name
    return None if is_path else name


def model_names(folder: Path) -> dict[str, Any]:
    """Role → model, as the spec of a merge names them; empty for other models."""
    return dict(specs.read(folder / SPEC).names) if (folder / SPEC).is_file() else {}


def _read_from_hub(content: Mapping[str, Any]) -> dict[str, str]:
    """Role → Hub id of inputs that have no folder to hash: their ids are settings of the run or the graft."""
    keys = {"base": "adapter_base"} if content["stage"] == "graft" else {}
    if content["stage"] in manifest.TRAINED:
        keys = {"model": "model", "dataset": "dataset", "replay": "replay_dataset"}
    found = {role: content["config"].get(key) for role, key in keys.items() if role not in content["inputs"]}
    return {role: str(name) for role, name in found.items() if name}


def base_models_of(
    inputs: Sequence[Input],
    named: Sequence[str],
    content: Mapping[str, Any],
    recorded: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[str], list[str]]:
    """Hub ids of the base models, those of the lineage first; and findings where the named ones contradict it.

    Args:
        named: ids that the user gave.
        content: the folder's manifest.
        recorded: of `recorded_bases`.
    """
    on_hub = {entry.role: entry.name for entry in inputs if entry.role not in _NO_BASE and entry.on_hub}
    known = list(dict.fromkeys([*on_hub.values(), *recorded.values()]))
    extra = [name for name in named if name not in known]
    folders, runs = _models_without_id(content, {*on_hub, *recorded})
    findings = []
    if len(extra) > folders + runs:
        parts = [f"names {', '.join(known)}"] if known else []
        parts += [f"has {counted(folders + runs, 'model')} without a Hub id"] if folders + runs else []
        mend = "name as many" if folders + runs else "leave it out"
        findings.append(f"--base-model {', '.join(extra)} contradicts the lineage, which {' and '.join(parts)}: {mend}")
        extra = []
    elif (known or named) and len(named) < folders:
        findings.append(
            f"the lineage has {counted(folders, 'model')} without a Hub id, and --base-model names {len(named)}: name every model that "
            "it was made of, for the card and its licenses"
        )
    found = list(dict.fromkeys([*known, *extra]))
    if not found and not findings:
        findings.append("no base model has a known Hub id: name it with --base-model ORG/NAME")
    return found, findings


def base_of_adapter(inputs: Sequence[Input], base_models: Sequence[str], content: Mapping[str, Any]) -> str:
    """Hub id of the model that an adapter is loaded on; of a graft, the one that it was moved to, not the one of its training.

    Args:
        base_models: of `base_models_of`; of two that the user named, the instruct model by its name, or the last.
    """
    if content["stage"] != "graft":
        return base_models[-1]
    on_hub = {entry.role: entry.name for entry in inputs if entry.on_hub}
    possible = [name for name in base_models if name != on_hub.get("base")] or list(base_models)
    named_so = [name for name in possible if _INSTRUCT.search(name)]
    return on_hub.get("instruct") or (named_so or possible)[-1]


def recorded_bases(folder: Path, content: Mapping[str, Any]) -> dict[str, str]:
    """Role → Hub id of the model that a local run among a merge's inputs was trained on, from the manifest in the run's folder."""
    found: dict[str, str] = {}
    for role, path in model_names(folder).items():
        trained = content["inputs"].get(role, {}).get("stage") in manifest.TRAINED
        if trained and (run := manifest.of_model(Path(str(path)).expanduser())):
            model = _read_from_hub(run).get("model")
            found |= {role: model} if model else {}
    return found


def _models_without_id(content: Mapping[str, Any], known: Collection[str]) -> tuple[int, int]:
    """Number of different base models of a lineage that were read from a folder, and of runs on a model of the Hub whose id is
    not recorded, which may be one of these.

    Args:
        known: roles of the folder's inputs whose base model is known.
    """
    of_graft = ("adapter",) if content["stage"] == "graft" and content["config"].get("adapter_base") else ()
    entries = [(role, entry) for role, entry in content["inputs"].items() if role not in {*known, *of_graft}]
    folders, runs = set(), 0
    while entries:
        role, entry = entries.pop()
        inner = [(role, entry) for role, entry in (entry.get("inputs") or {}).items() if role not in _NO_BASE]
        if role in _NO_BASE:
            continue
        if entry.get("stage") not in STAGES:
            folders.add(entry["sha256"])
        elif inner:
            entries += inner
        else:
            runs += 1  # trained on a model that was read from the Hub
    return len(folders), runs


def check_weights(folder: Path, files: Sequence[str]) -> list[str]:
    """Findings: weights that are not safetensors, incomplete weights, files with code."""
    findings = [
        f"{name} is a pickle or can hold code: publish safetensors only"
        for name in files
        if any(Path(name).match(pattern) for pattern in _PICKLES)
    ]
    stray = [name for name in (adapter.CONFIG, adapter.WEIGHTS, "adapter_model.bin") if (folder / name).is_file()]
    if stray and not adapter.is_adapter(folder):
        findings.append(
            f"{stray[0]} is beside a full model, and transformers would load that adapter on its own base model: remove it"
        )
    try:
        if adapter.is_adapter(folder):
            adapter.config_of_adapter(folder)
            adapter.factors_of(folder)
        elif not tensors_of(folder):
            findings.append("its weights hold no tensor")
        loaded = {folder / adapter.WEIGHTS} if adapter.is_adapter(folder) else set(weight_files(folder))
        findings += [
            f"{name} is beside the weights, and no loader would read it: remove it"
            for name in files
            if name.endswith(".safetensors") and name not in stray and folder / name not in loaded
        ]
        weights_hash(folder)
        for name in files:
            if name.endswith(".gguf"):
                findings += compare(folder, folder / name)
    except UserError as error:
        findings.append(str(error))
    return findings


def renamed_base(folder: Path, base_model: str) -> dict[str, Content]:
    """adapter_config.json with the base model's Hub id; empty for a full model."""
    if not adapter.is_adapter(folder):
        return {}
    config = adapter.config_of_adapter(folder) | {"base_model_name_or_path": base_model}
    return {adapter.CONFIG: f"{json.dumps(config, indent=2, sort_keys=True)}\n".encode()}
