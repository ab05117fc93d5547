"""A spec as a straight line between two models: its merge at λ = 0 and its merge at λ = 1.

Input: a spec with a value marked `# lambda`. Output: for each tensor the coefficient of every model at both ends. Only merges that
are linear in λ are accepted: for them W(λ) = W(0) + λ·(W(1) − W(0)), tensor by tensor.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.engine import backends
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.tensor_reader import TensorReader
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.specs.formula import Coefficients, Formula, coefficients_of
from agentmerge_hub.merging.specs.spec import Spec

Mixture = Mapping[str, float]
"""Reference of a model → its coefficient; zeros are left out."""


@dataclass(frozen=True)
class Endpoints:
    """Both ends of the line."""

    first: Mapping[str, Mixture]
    """Tensor → what it is at λ = 0."""
    second: Mapping[str, Mixture]
    """Tensor → what it is at λ = 1."""

    @property
    def varying(self) -> list[str]:
        """Tensors that depend on λ."""
        return [name for name, mixture in self.first.items() if mixture != self.second[name]]


def endpoints_of(spec: Spec, where: str, inputs: MergeInputs) -> Endpoints:
    """The ends of a spec's line.

    Raises:
        UserError: if the spec has no value marked `# lambda`, or its merge is not linear in it.
    """
    if isinstance(spec.names.get("lambda"), bool) or not isinstance(spec.names.get("lambda"), int | float):
        raise UserError(
            f"{where} has no number marked `# lambda`: λ is learned for specs such as recipes/merge/agentmerge.yml"
        )
    ends = [
        mixtures_of(specs.with_values(spec, {"lambda": value}, where), where, inputs) for value in ("0", "1", "0.5")
    ]
    for name, middle in ends[2].items():
        first, second = ends[0][name], ends[1][name]
        references = first.keys() | second.keys() | middle.keys()
        if any(abs(middle.get(r, 0) - (first.get(r, 0) + second.get(r, 0)) / 2) > 1e-9 for r in references):
            raise UserError(f"{where}: the merge is not linear in lambda (it is normalized): set `normalize: false`")
    found = Endpoints(ends[0], ends[1])
    if not found.varying:
        raise UserError(f"{where}: no tensor depends on lambda")
    return found


def mixtures_of(spec: Spec, where: str, inputs: MergeInputs) -> dict[str, Mixture]:
    """The mixture that each tensor of a merge is.

    Raises:
        UserError: if the merge is not a mixture of its models.
    """
    formula = backends.streaming_formula(spec, inputs)
    if formula is None or formula.method == "ties":
        raise UserError(
            f"{where}: λ is learned for merges that are linear in the weights, task_arithmetic or linear with dtype: float32 "
            f"on models that are merged in one streaming pass, and this is {spec.config['merge_method']}"
        )
    backends.check_computable(spec, formula, inputs)
    depth = inputs.architecture.depth
    return {
        name: _mixture(formula, coefficients_of(formula, name, depth(name) if formula.has_lists else 0.0, where))
        for name in inputs.shapes
    }


def _mixture(formula: Formula, numbers: Coefficients) -> Mixture:
    total = sum(numbers.weights) if numbers.normalize else 1.0
    found = {
        model: weight * numbers.factor / (total if abs(total) >= 1e-8 else 1.0)
        for model, weight in zip(formula.models, numbers.weights)
    }
    if formula.base is not None:
        found[formula.base] = 1.0 - sum(found.values())
    return {model: value for model, value in found.items() if abs(value) > 1e-12}


def read_mixture(name: str, mixture: Mixture, inputs: MergeInputs, reader: TensorReader) -> torch.Tensor:
    """A tensor's values, in float32; rows of tokens that the merge leaves out are left out."""
    shape = inputs.shapes[name]
    count = torch.Size(shape).numel()
    values = {model: reader.values(inputs.models[model].tensors[name], 0, count).float() for model in mixture}
    if list(mixture.values()) == [1.0]:
        return next(iter(values.values())).view(shape)
    total = torch.zeros(count)
    for model, coefficient in mixture.items():
        total.add_(values[model], alpha=coefficient)
    return total.view(shape)
