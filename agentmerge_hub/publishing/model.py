"""A merged model's folder, read for publishing: what it was made of, whose terms it is under, and what is wrong with it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.dataset.teachers import UNKNOWN, licence
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import spec as specs
from agentmerge_hub.merging.checkpoint import config_of, tensors_of
from agentmerge_hub.publishing.dataset_gate import splits_of, terms_of_rows
from agentmerge_hub.publishing.licences import ordered
from agentmerge_hub.publishing.model_card import Input

SPEC = "mergekit_config.yml"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


def inputs_of(folder: Path, content: Mapping[str, Any]) -> list[Input]:
    """The models that were merged, as the manifest and the spec name them."""
    spec = folder / SPEC
    names = specs.read(spec).names if spec.is_file() else {}
    found = []
    for role, entry in content["inputs"].items():
        # A model that came from the Hub was read from the cache, where its folder is named by the commit.
        from_hub = bool(_COMMIT.fullmatch(entry["name"])) and role in names
        made_of = ", ".join(inner["name"] for inner in entry.get("inputs", {}).values())
        made_by = f"`{entry['stage']}`" + (f" from {made_of}" if made_of else "") if entry.get("stage") else ""
        model = str(names[role]).partition("@")[0] if from_hub else entry["name"]
        found.append(Input(role, model, entry["name"] if from_hub else "", entry["sha256"], made_by))
    return found


def terms_of(
    base_models: Sequence[str],
    inputs: Sequence[Input],
    content: Mapping[str, Any],
    traces: Path | None,
    declared: str | None,
) -> tuple[dict[str, list[str]], list[str]]:
    """Licence id → whose it is, for the models merged and the teachers learned from; and what stays open.

    Args:
        base_models: ids on the Hub.
        inputs: the models that were merged.
        content: the folder's manifest.json.
        traces: the dataset it was trained on, which has to be the one of its lineage.
        declared: the licence of base models that this package does not know.
    """
    terms: dict[str, list[str]] = {}
    findings = []
    for model in base_models:
        known = licence(model)
        known = declared if known == UNKNOWN and declared else known
        if known == UNKNOWN:
            findings.append(f"the licence of {model} is not known here: name it with --license, as the Hub writes it")
        else:
            terms.setdefault(known, []).append(model)
    trained_on = {entry["sha256"]: entry["name"] for entry in _lineage(content) if entry.get("stage") == "build"}
    untold = [i.model for i in inputs if not i.revision and not i.made_by]
    if traces is None and (trained_on or untold):
        names = (
            ", ".join(sorted(set(trained_on.values()))) or f"data that the lineage of {', '.join(untold)} does not name"
        )
        findings.append(f"it learned from {names}: pass --traces with that dataset's folder, for its teachers' terms")
    if traces is not None:
        if trained_on and manifest.folder_hash(traces) not in trained_on:
            findings.append(f"{traces} is not the dataset it was trained on, by their hashes: pass the one that is")
        for (teacher, known), _ in sorted(terms_of_rows(splits_of(traces)).items()):
            if known in ("", UNKNOWN):
                findings.append(
                    f"rows of {traces} by {teacher or 'no teacher'} say under no licence: build it with --license"
                )
            terms.setdefault(known, []).append(f"answers of {teacher}")
    return terms, findings


def _lineage(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in content.get("inputs", {}).values():
        yield entry
        yield from _lineage(entry)


def check_weights(folder: Path) -> list[str]:
    """Weights that are not safetensors, lack a piece, or bring code with them."""
    findings = [
        f"{path.name} is a pickle or of a kind that can hide code: publish safetensors alone"
        for pattern in _PICKLES
        for path in sorted(folder.rglob(pattern))
    ]
    try:
        if not tensors_of(folder):
            findings.append("its weights hold no tensor")
        if "auto_map" in config_of(folder):
            findings.append("config.json asks for code to be run (auto_map): publish a model that transformers knows")
        weights_hash(folder)
    except UserError as error:
        findings.append(str(error))
    return findings


def check_terms(name: str, terms: Mapping[str, Sequence[str]], texts: Mapping[str, Path | bytes]) -> list[str]:
    """What the licences ask of a model's name and of the files that go with it."""
    findings = []
    for entry in ordered(terms):
        whose = ", ".join(terms[entry.id])
        if entry.model_prefix and not name.startswith(entry.model_prefix):
            findings.append(
                f"the {entry.name} ({whose}) wants the model's name to begin with {entry.model_prefix!r}, not {name!r}: "
                "choose such a --repo-id"
            )
        models = [of for of in terms[entry.id] if not of.startswith("answers of ")]
        if entry.copy_of_text and models and not any(file.startswith("LICENSE") for file in texts):
            findings.append(
                f"the {entry.name} wants a copy of itself to go with the model: pass it with --license-file "
                f"(it lies beside the weights of {models[0]})"
            )
    return findings


def notice(terms: Mapping[str, Sequence[str]]) -> bytes:
    """The NOTICE file that the base models' licences ask for, empty if none does."""
    models = {id: [of for of in whose if not of.startswith("answers of ")] for id, whose in terms.items()}
    lines = [entry.attribution for entry in ordered(models) if entry.attribution and models[entry.id]]
    return "".join(f"{line}\n" for line in lines).encode()
