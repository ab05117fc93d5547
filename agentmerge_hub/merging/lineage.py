"""Which models a merge was made from, by role, and what its manifest says of it."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.merging.spec import Spec, references_of

STAGE = "merge"

_TRAINED = ("learning_rate", "samples_seen", "seed")


def roles_of(spec: Spec) -> dict[str, str]:
    """Role → reference of a merge's inputs: the name the spec's comments give, e.g. ``agent``; unnamed ones are numbered."""
    named = {value: name for name, value in reversed(spec.names.items()) if isinstance(value, str)}
    return {named.get(model, f"model_{number}"): model for number, model in enumerate(references_of(spec), 1)}


def write_manifest(
    folder: Path,
    spec: Spec,
    folders: Mapping[str, Path],
    *,
    counts: Mapping[str, Any],
    started: float | None = None,
    known: Mapping[Path, Mapping[str, str]] | None = None,
) -> None:
    """The merged folder's manifest: its inputs' hashes, and the method with every number that shaped it.

    Args:
        folders: reference → folder of the inputs.
        known: hashes of the inputs' files that were taken before, as in `manifest.write`.
    """
    inputs = {role: folders[reference] for role, reference in roles_of(spec).items()}
    config: dict[str, Any] = {
        **_trained([inputs["agent"]] if "agent" in inputs else list(inputs.values())),
        "method": spec.method,
        "merge_method": spec.config["merge_method"],
        "parameters": spec.config.get("parameters") or {},
        **{name: value for name, value in spec.names.items() if not isinstance(value, str)},
        "merge_seed": spec.seed,
        "mergekit": version("mergekit"),
    }
    manifest.write(folder, STAGE, inputs=inputs, config=config, counts=counts, started=started, known=known)


def _trained(folders: Sequence[Path]) -> dict[str, Any]:
    """How the agent, or whatever was fine-tuned, was trained, as far as they agree: what a merge's score is plotted against.
    (An instruct model that was made here is a run too.)"""
    finished = [path for path in folders if (path / manifest.NAME).is_file()]
    configs = [config for path in finished if "samples_seen" in (config := manifest.read(path)["config"])]
    values = {key: {config[key] for config in configs if key in config} for key in _TRAINED}
    return {key: found.pop() for key, found in values.items() if len(found) == 1}
