"""Which folders a merge was made from, by role, and what its manifest says of it."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.merging.checkpoint import locate
from agentmerge_hub.merging.formula import references_of
from agentmerge_hub.merging.spec import Spec

STAGE = "merge"


def inputs_of(spec: Spec) -> dict[str, Path]:
    """Reference → folder of every model a spec names, its tokenizer's source too."""
    references = [*references_of(spec.config), donor_of(spec)]
    return {reference: locate(reference) for reference in dict.fromkeys(references)}


def donor_of(spec: Spec) -> str:
    """Reference of the model that gives the tokenizer and the chat template."""
    config = spec.config
    source = config.get("tokenizer_source") or (config.get("tokenizer") or {}).get("source")
    if not isinstance(source, str) or source in ("base", "union"):
        source = config.get("base_model") or references_of(config)[0]
    return source


def roles_of(spec: Spec, inputs: Mapping[str, Path]) -> dict[str, Path]:
    """The same folders by the name the spec binds them to, e.g. ``agent``; unnamed ones are numbered."""
    named = {value: name for name, value in reversed(spec.names.items()) if isinstance(value, str)}
    return {named.get(reference, f"model_{index}"): path for index, (reference, path) in enumerate(inputs.items(), 1)}


def write_manifest(
    folder: Path, spec: Spec, inputs: Mapping[str, Path], *, counts: Mapping[str, Any], started: float | None = None
) -> None:
    """The merged folder's manifest: its inputs' hashes, and the method with every number that shaped it."""
    config: dict[str, Any] = {
        "method": spec.method,
        "merge_method": spec.config["merge_method"],
        "parameters": spec.config.get("parameters") or {},
        **{name: value for name, value in spec.names.items() if not isinstance(value, str)},
        "seed": spec.seed,
        "mergekit": version("mergekit"),
    }
    manifest.write(folder, STAGE, inputs=roles_of(spec, inputs), config=config, counts=counts, started=started)
