"""Which tensors share one learned λ: those of a layer, or of a layer's attention or MLP; and the mergekit filters that say so.

Input: names of tensors. Output: groups, and filter entries in the order in which mergekit tries them.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.architecture import Architecture, is_head

By = Literal["constant", "layer", "layer-and-block"]

_IN_LAYER = re.compile(r"^(.*?)\.(\d+)\.([^.]+)\.")
"""Prefix, layer and block of a tensor, e.g. model.layers, 3, self_attn."""


@dataclass(frozen=True)
class FilterEntry:
    """One entry of a value with filters."""

    filter: str | None
    """A part of tensors' names; None for all that are left."""
    groups: tuple[int, ...]
    """The group of each layer, from the first to the last; or one group for all."""


@dataclass(frozen=True)
class LambdaGroups:
    """The groups of a model."""

    names: tuple[str, ...]
    """E.g. ``attention 3`` or ``embeddings``."""
    of: Mapping[str, int]
    """Tensor → its group."""
    entries: tuple[FilterEntry, ...]
    """Empty for one constant λ."""


def lambda_groups(tensors: Collection[str], architecture: Architecture, by: By) -> LambdaGroups:
    """The groups of the tensors that depend on λ.

    Args:
        by: ``layer-and-block`` gives each layer one λ for its attention and one for its MLP, and one each to the embeddings,
            the head and all norms; ``layer`` gives each layer one, and one each to embeddings, head and final norm.

    Raises:
        UserError: if layers cannot be found in the tensors' names.
    """
    if by == "constant":
        return LambdaGroups(("all",), dict.fromkeys(tensors, 0), ())
    layered = {name: found for name in tensors if (found := _IN_LAYER.match(name))}
    prefixes = {found[1] for found in layered.values()}
    layers = 1 + max((int(found[2]) for found in layered.values()), default=-1)
    depths = {name: int(found[2]) / (layers - 1) if layers > 1 else 1.0 for name, found in layered.items()}
    if len(prefixes) != 1 or any(
        abs(architecture.depth(name) - depths.get(name, 0.0)) > 1e-6 for name in tensors if layers > 1
    ):
        raise UserError(
            f"the layers of {architecture.name} are not one row of numbered blocks ({', '.join(sorted(prefixes)) or 'none'}): "
            "λ can be learned for the whole model only, use --by constant"
        )
    names: list[str] = []
    entries: list[FilterEntry] = []

    def group(name: str) -> int:
        if name not in names:
            names.append(name)
        return names.index(name)

    of: dict[str, int] = {}
    for name in tensors:
        if name not in layered:
            of[name] = group(_outside(name, architecture))
            entries.append(FilterEntry(name, (of[name],)))
    if architecture.embeddings in of and not any(is_head(name) for name in tensors):
        entries.append(FilterEntry("lm_head", (of[architecture.embeddings],)))  # the head is tied to them
    blocks = list(dict.fromkeys(found[3] for found in layered.values()))
    kinds = {block: _kind(block) if by == "layer-and-block" else "layer" for block in blocks}
    for kind in dict.fromkeys(kinds.values()):
        if kind == "norm":
            continue
        shared = tuple(group(f"{kind} {layer}") for layer in range(layers))
        entries += [FilterEntry(f".{block}.", shared) for block in blocks if kinds[block] == kind and by != "layer"]
        if by == "layer":
            entries.append(FilterEntry(None, shared))
    if by == "layer-and-block":
        entries.append(FilterEntry(None, (group("norm"),)))
    for name, found in layered.items():
        kind = kinds[found[3]]
        of[name] = group(kind if kind == "norm" else f"{kind} {found[2]}")
    return LambdaGroups(tuple(names), of, tuple(entries))


def _kind(block: str) -> str:
    if "norm" in block or re.match(r"ln_?\d*$", block):
        return "norm"
    return "attention" if "attn" in block or "attention" in block else "mlp"


def _outside(name: str, architecture: Architecture) -> str:
    if is_head(name) or name.endswith("lm_head.bias"):
        return "head"
    return "norm" if "norm" in name or ".ln_f." in name else "embeddings"
