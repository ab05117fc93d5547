"""Which models a merge was made from, by role, and what its manifest records of it."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.adapter import config_of_adapter
from agentmerge_hub.merging.inputs.checkpoint import tensors_of
from agentmerge_hub.merging.inputs.input_hashes import input_file_hashes
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs, split_reference
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.spec import Spec, references_of
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.traces.values import as_dict, as_texts

STAGE = "merge"

_TRAINED = ("learning_rate", "samples_seen", "seed")

_PROMPTS = "prompts"
"""Key of what a run records of the prompts that it was trained on."""


def roles_of(spec: Spec) -> dict[str, str]:
    """Role → reference of a merge's inputs: the name the spec's comments give, e.g. ``agent``; unnamed ones are numbered."""
    named = {value: name for name, value in reversed(spec.names.items()) if isinstance(value, str)}
    return {named.get(model, f"model_{number}"): model for number, model in enumerate(references_of(spec), 1)}


def input_folders(spec: Spec, inputs: MergeInputs) -> dict[str, Path]:
    """Role → folder of everything that was read; ``agent_base`` is the model that an adapter was trained on."""
    found = {}
    for role, reference in roles_of(spec).items():
        model = inputs.models[reference]
        found[role] = model.folder
        if model.is_adapter:
            found[f"{role}_base"] = model.base_folder
    return found


def input_names(written: Spec, spec: Spec, inputs: MergeInputs) -> dict[str, str]:
    """Role → name of the folder that a merge's own spec gives for it; empty where the path does not say it, e.g. ``.``.

    Args:
        written: the merge's spec.
        spec: the same, with the places where its models are now.
    """
    found, now = {}, roles_of(spec)
    for role, reference in roles_of(written).items():
        model, adapter = split_reference(reference)
        opened = inputs.models[now[role]]
        found[role] = Path(adapter or model).name
        if adapter is None and opened.is_adapter:
            model = str(config_of_adapter(opened.folder).get("base_model_name_or_path"))
        found[f"{role}_base"] = Path(model).name
    return found


def settings_of(spec: Spec) -> dict[str, Any]:
    """What a spec alone says of a merge: the method with every number that shaped it. verify recomputes these claims."""
    return {
        "method": spec.method,
        "merge_method": spec.config["merge_method"],
        "parameters": spec.config.get("parameters") or {},
        **{name: value for name, value in spec.names.items() if not isinstance(value, str)},
        "merge_seed": spec.seed,
    }


def unchecked_texts(spec: Spec) -> list[str]:
    """What a spec says beside its values, and no recipe does: the method's name, and comments, e.g. the scores of a tuned
    spec."""
    is_known = is_known_method(spec)
    recipes = (data_folder("recipes") / "merge").glob("*.yml")
    known = {comment for path in recipes for comment in _comments(path.read_text(encoding="utf-8"))}
    known |= {f"# seed: {spec.seed}"}
    others = [comment for comment in _comments(spec.text)[0 if is_known else 1 :] if comment not in known]
    names = spec.names.keys() | {f"1 - {name}" for name in spec.names}
    claims = [] if is_known else [f"{specs.SPEC_FILE}: the name {spec.method}"]
    if any(not names.issuperset(comment.removeprefix("# ").split(", ")) for comment in others):
        claims.append(f"{specs.SPEC_FILE}: comments")
    return claims


def _comments(text: str) -> list[str]:
    """The comments of a YAML text; what stands behind a `#` in a quoted text counts too."""
    return [found[0] for found in re.finditer(r"(?<!\S)#.*\S", text)]


def is_known_method(spec: Spec) -> bool:
    """Whether a spec's method is what its numbers say: mergekit's own name, or a recipe of that name with other values."""
    recipe = data_folder("recipes") / "merge" / f"{spec.method}.yml"
    if spec.method == spec.config["merge_method"]:
        return True
    if not recipe.is_file():
        return False
    known = specs.read(recipe)
    values = {name: str(spec.names[name]) for name in known.names if name in spec.names}
    try:
        return specs.with_values(known, values, str(recipe)).config == spec.config
    except UserError:  # a text in place of a number
        return False


def write_manifest(
    folder: Path,
    spec: Spec,
    inputs: MergeInputs,
    *,
    counts: Mapping[str, Any],
    started: float | None = None,
    known: Mapping[Path, Mapping[str, str]] | None = None,
    names: Mapping[str, str] | None = None,
) -> None:
    """The merged folder's manifest: its inputs' hashes, and the method with every number that shaped it.

    Args:
        names: role → name of an input, where it is now in a folder of another name.
        known: hashes of the inputs' files that were taken before, as in `manifest.write`.
    """
    folders = input_folders(spec, inputs)
    known = dict(known or {})
    known |= {path: input_file_hashes(path) for path in folders.values() if path not in known}
    entries = {role: manifest.input_entry(path, known[path]) for role, path in folders.items()}
    entries = {role: entry | {"name": (names or {}).get(role) or entry["name"]} for role, entry in entries.items()}
    config = {**training_of(spec, inputs), **settings_of(spec), "mergekit": version("mergekit")}
    manifest.write(folder, STAGE, recorded_inputs=entries, config=config, counts=counts, started=started, known=known)


def counts_of(folder: Path) -> dict[str, int]:
    """Number of a merge's tensors, and of their values."""
    tensors = tensors_of(folder).values()
    return {"tensors": len(tensors), "parameters": sum(tensor.count for tensor in tensors)}


def training_of(spec: Spec, inputs: MergeInputs) -> dict[str, Any]:
    """How the agent, or every other trained input, was trained, as far as they agree: the axes of a merge's score.
    (An instruct model that was made here is a run too.) Of their prompts, every setting and flag on which they agree."""
    folders = input_folders(spec, inputs)
    configs = []
    for path in [folders[role] for role in (["agent"] if "agent" in folders else roles_of(spec))]:
        with contextlib.suppress(UserError):  # another program's manifest
            made = manifest.of_model(path)
            if made and made["config"].keys() & {"samples_seen", _PROMPTS}:
                configs.append(made["config"])
    trained = {key: value for key, value in _agreed(configs).items() if key in _TRAINED}
    prompts = _prompts_of([as_dict(config.get(_PROMPTS)) for config in configs])
    return trained | ({_PROMPTS: prompts} if prompts else {})


def _prompts_of(recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings of prompts on which inputs agree, flag by flag; what one of them was trained on in several ways is different."""
    agreed, flags = _agreed(recorded), [as_dict(each.get("flags")) for each in recorded]
    several = {name for each in recorded for name in as_texts(each.get("different_flags"))}
    shared = {name: value for name, value in _agreed(flags).items() if name not in several}
    different = several.union(*flags) - shared.keys()
    return agreed | ({"flags": shared, "different_flags": sorted(different)} if shared or different else {})


def _agreed(recorded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries that no two mappings have with different values."""
    each = {key: value for one in recorded for key, value in one.items()}
    return {key: value for key, value in each.items() if all(one.get(key, value) == value for one in recorded)}
