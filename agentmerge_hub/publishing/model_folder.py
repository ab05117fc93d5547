"""Reads a model folder for publishing: its lineage, the files to publish, and findings on its weights."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.content_hash import file_hash
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs import adapter
from agentmerge_hub.merging.inputs.checkpoint import tensors_of
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.publishing.cards.model_card import GgufFile, Input
from agentmerge_hub.publishing.gguf.compare import compare
from agentmerge_hub.publishing.publish_checks.model_texts import safetensors_header
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, read_bytes

TRAINED = ("sft", "preference")
"""Stages that train a model."""
STAGES = ("merge", *TRAINED, "graft")
"""Stages whose folders are published as models."""
DATA_ROLES = ("dataset", "replay")
"""Roles of inputs that are data."""
_NO_BASE = (*DATA_ROLES, "tokenizer")
"""Roles of inputs that are no base model."""
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


def read_model_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a model folder; for the adapter folder of a run, the run's manifest with the adapter's files.

    Raises:
        UserError: if there is none.
    """
    run = folder.resolve().parent
    if (folder / manifest.NAME).is_file() or not (run / manifest.NAME).is_file():
        return manifest.read(folder)
    content, prefix = manifest.read(run), f"{folder.resolve().name}/"
    outputs = {
        name.removeprefix(prefix): entry for name, entry in content["outputs"].items() if name.startswith(prefix)
    }
    return {**content, "outputs": outputs} if outputs else manifest.read(folder)


def check_unchanged(folder: Path, content: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Findings on files that a stage did not write as they are now.

    Args:
        content: of `read_model_manifest`.
        names: of `files_to_publish`.

    Raises:
        UserError: if no stage whose models are published wrote the folder.
    """
    if content["stage"] not in STAGES:
        accepted = " or ".join(f"`{stage}`" for stage in STAGES)
        raise UserError(f"{folder} was written by `{content['stage']}`: only output of {accepted} can be published.")
    changed = [name for name in names if file_hash(folder / name) != content["outputs"][name]["sha256"]]
    return [f"{name} was changed since it was written: run the stage again, or restore the file" for name in changed]


def inputs_of(folder: Path, content: Mapping[str, Any]) -> list[Input]:
    """The model's inputs, from its manifest and, for a merge, its spec. A local input is named by its role."""
    names = model_names(folder)
    if content["stage"] == "graft":
        names = {"instruct": adapter.config_of_adapter(folder).get("base_model_name_or_path")}
    inputs = []
    for role, entry in content["inputs"].items():
        # A model from the Hub is read from the cache, where the folder name is the commit.
        from_cache = bool(_COMMIT.fullmatch(entry["name"])) and role in names
        inner_roles = ", ".join(entry.get("inputs", {}))
        made_by = f"`{entry['stage']}`" + (f" from {inner_roles}" if inner_roles else "") if entry.get("stage") else ""
        name = str(names[role]).partition("@")[0] if from_cache else role
        inputs.append(Input(role, name, entry["name"] if from_cache else "", entry["sha256"], made_by, from_cache))
    return [*inputs, *(Input(role, name, "", "", "", True) for role, name in _read_from_hub(content).items())]


def model_names(folder: Path) -> dict[str, Any]:
    """Role → model, as the spec of a merge names them; empty for other models."""
    return dict(specs.read(folder / SPEC).names) if (folder / SPEC).is_file() else {}


def _read_from_hub(content: Mapping[str, Any]) -> dict[str, str]:
    """Role → Hub id of inputs that have no folder to hash: their ids are settings of the run or the graft."""
    keys = {"base": "adapter_base"} if content["stage"] == "graft" else {}
    if content["stage"] in TRAINED:
        keys = {"model": "model", "dataset": "dataset", "replay": "replay_dataset"}
    found = {role: content["config"].get(key) for role, key in keys.items() if role not in content["inputs"]}
    return {role: str(name) for role, name in found.items() if name}


def base_models_of(inputs: Sequence[Input], named: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hub ids of the base models, those of the lineage first; and findings where the named ones contradict it.

    Args:
        named: ids that the user gave.
    """
    models = [entry for entry in inputs if entry.role not in _NO_BASE]
    known = [entry.name for entry in models if entry.on_hub]
    local = [entry for entry in models if not entry.on_hub and not entry.made_by]
    derived = [entry for entry in models if entry.made_by]
    extra = [name for name in named if name not in known]
    findings = []
    if extra and not local and not derived:
        findings.append(
            f"--base-model {', '.join(extra)} contradicts the lineage, which names {', '.join(known)}: leave it out"
        )
        extra = []
    found = list(dict.fromkeys([*known, *extra]))
    if not found:
        findings.append("no base model has a known Hub id: name it with --base-model ORG/NAME")
    return found, findings


def parameters_of(files: Mapping[str, Content]) -> int:
    """Number of parameters in the published weights."""
    total = 0
    for name, content in files.items():
        if name.endswith(".safetensors"):
            header = safetensors_header(name, content)
            total += sum(math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
    return total


def tokenizer_facts(files: Mapping[str, Content]) -> str:
    """One sentence on the published tokenizer; empty if there is none."""
    if "tokenizer.json" not in files:
        return ""
    tokenizer = json.loads(read_bytes(files["tokenizer.json"]))
    model, added = tokenizer.get("model", {}), tokenizer.get("added_tokens", [])
    size = (
        len({*dict.fromkeys(model.get("vocab", ()))} | {token["content"] for token in added})
        if isinstance(model.get("vocab"), dict)
        else len(model.get("vocab", ()))
    )
    template = " with a chat template" if "chat_template.jinja" in files else ""
    return f"Its tokenizer has {size:,} tokens ({model.get('type', 'unknown type')}){template}."


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
        weights_hash(folder)
        for name in files:
            if name.endswith(".gguf"):
                findings += compare(folder, folder / name)
    except UserError as error:
        findings.append(str(error))
    return findings


def gguf_files(files: Mapping[str, Content]) -> list[GgufFile]:
    """The GGUF files among the published ones."""
    sizes = {name: content.stat().st_size for name, content in files.items() if isinstance(content, Path)}
    return [
        GgufFile(name, f"{name.removeprefix('model-').removesuffix('.gguf')}, {size / 1e6:,.1f} MB")
        for name, size in sorted(sizes.items())
        if name.endswith(".gguf")
    ]


def renamed_base(folder: Path, base_model: str) -> dict[str, Content]:
    """adapter_config.json with the base model's Hub id; empty for a full model."""
    if not adapter.is_adapter(folder):
        return {}
    config = adapter.config_of_adapter(folder) | {"base_model_name_or_path": base_model}
    return {adapter.CONFIG: f"{json.dumps(config, indent=2, sort_keys=True)}\n".encode()}
