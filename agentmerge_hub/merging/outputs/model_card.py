"""The README.md of a merged model: a draft that states what is known, for its author to finish before publishing."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from agentmerge_hub.merging.inputs.checkpoint import tensors_of
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.specs.spec import SPEC_FILE, Spec

_BODY = """# {name}

A merge made with AgentMerge hub. This card is a draft: say what the model is for, how it was evaluated, and its license
(which follows from those of its inputs).

    {formula}

| input | model |
|---|---|
{inputs}

{numbers}`agentmerge verify .` proves the weights from the inputs: it recomputes each tensor and compares it to the bit.{plain}
"""

_PLAIN = """
`{command}` makes the same weights with mergekit {mergekit}, where the paths in the spec are valid."""


def draft(name: str, spec: Spec, roles: Mapping[str, str], inputs: MergeInputs) -> str:
    """The card's text.

    Args:
        name: of the merged model.
        spec: how it was made.
        roles: role → reference of each input.
        inputs: the opened models.
    """
    hub_ids = [reference for reference in roles.values() if not _local(reference)]
    head: dict[str, Any] = {"library_name": "transformers", "tags": ["merge", "mergekit", "agentmerge"]}
    if hub_ids:
        head["base_model"] = hub_ids
    numbers = [f"{key} = {value}" for key, value in spec.names.items() if not isinstance(value, str)]
    numbers += [f"seed = {spec.seed}"] if spec.seed is not None else []
    formula = spec.text.splitlines()[0].removeprefix("# ") if spec.text.startswith("# ") else spec.method
    shown = {role: reference if not _local(reference) else Path(reference).name for role, reference in roles.items()}
    body = _BODY.format(
        name=name,
        formula=formula,
        inputs="\n".join(f"| {role} | {model} |" for role, model in shown.items()),
        numbers=f"{', '.join(numbers)}.\n\n" if numbers else "",
        plain=_PLAIN.format(command=_command(spec), mergekit=version("mergekit")) if _is_plain(inputs) else "",
    )
    return f"---\n{yaml.safe_dump(head, sort_keys=True)}---\n{body}"


def _command(spec: Spec) -> str:
    seed = f" --random-seed {spec.seed}" if spec.seed is not None else ""
    return f"mergekit-yaml {SPEC_FILE} OUT{seed}"


def _is_plain(inputs: MergeInputs) -> bool:
    """Whether mergekit-yaml is known to give these very weights: of an architecture that it defines with these names, of
    models that store exactly the tensors of the merge, without adapters (it rounds their update to the base's type), and
    from paths that it neither splits nor looks for on the Hub (``a/b`` in place of ``./a/b``)."""
    architecture, names = inputs.architecture, set(inputs.shapes)
    return (
        architecture.defined
        and architecture.same_names
        and not architecture.separate_experts
        and not any(
            model.is_adapter
            or any(character in reference for character in "+@")
            or (Path(reference).is_dir() and reference[0] not in "./")
            or tensors_of(model.folder).keys() != names
            for reference, model in inputs.models.items()
        )
    )


def _local(reference: str) -> bool:
    return reference[0] in "./~" or reference.count("/") != 1
