"""The README.md of a merged model: a draft that states what is known, for its author to finish before publishing."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import yaml

from agentmerge_hub.merging.by_mergekit import SPEC
from agentmerge_hub.merging.spec import Spec

_BODY = """# {name}

A merge made with AgentMerge hub. This card is a draft: say what the model is for, how it was evaluated, and under which
license it stands (that of its inputs).

    {formula}

| input | model |
|---|---|
{inputs}

{numbers}`mergekit-yaml {spec} OUT` makes the same weights (mergekit {mergekit}), and `agentmerge verify .` proves them from the
inputs: each tensor is recomputed and compared to the bit.
"""


def draft(name: str, spec: Spec, roles: Mapping[str, str]) -> str:
    """The card's text.

    Args:
        name: of the merged model.
        spec: how it was made.
        roles: role → reference of each input.
    """
    hub_ids = [reference for reference in roles.values() if not _local(reference)]
    head = {"library_name": "transformers", "tags": ["merge", "mergekit", "agentmerge"]}
    if hub_ids:
        head["base_model"] = hub_ids
    numbers = [f"{key} = {value}" for key, value in spec.names.items() if not isinstance(value, str)]
    numbers += [f"seed = {spec.seed}"] if spec.seed is not None else []
    first = spec.text.splitlines()[0].removeprefix("# ") if spec.text.startswith("# ") else spec.method
    shown = {role: reference if not _local(reference) else Path(reference).name for role, reference in roles.items()}
    body = _BODY.format(
        name=name,
        formula=first,
        inputs="\n".join(f"| {role} | {model} |" for role, model in shown.items()),
        numbers=f"{', '.join(numbers)}.\n\n" if numbers else "",
        spec=SPEC,
        mergekit=version("mergekit"),
    )
    return f"---\n{yaml.safe_dump(head, sort_keys=True)}---\n{body}"


def _local(reference: str) -> bool:
    return reference[0] in "./~" or reference.count("/") != 1
