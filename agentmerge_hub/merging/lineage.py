"""Which models a merge was made from, by role, and what its manifest says of it."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.merging.spec import Spec

STAGE = "merge"


def roles_of(spec: Spec, folders: Mapping[str, Path]) -> dict[str, str]:
    """Role → reference of a merge's inputs: the name the spec's comments give, e.g. ``agent``; unnamed ones are numbered."""
    named = {value: name for name, value in reversed(spec.names.items()) if isinstance(value, str)}
    return {named.get(reference, f"model_{number}"): reference for number, reference in enumerate(folders, 1)}


def write_manifest(
    folder: Path, spec: Spec, folders: Mapping[str, Path], *, counts: Mapping[str, Any], started: float | None = None
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
    inputs = {role: folders[reference] for role, reference in roles_of(spec, folders).items()}
    manifest.write(folder, STAGE, inputs=inputs, config=config, counts=counts, started=started)
