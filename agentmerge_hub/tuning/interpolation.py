"""A model whose weights are W(0) + λ·(W(1) − W(0)), so that a loss has gradients with respect to λ.

Memory: two copies of the model, W(0) and W(1) − W(0). The mixed weights are computed where a layer uses them and are not kept in
evaluation; in training they are kept for one layer at a time where activations are recomputed.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch.nn.utils import parametrize
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.architecture import architecture_of
from agentmerge_hub.merging.inputs.merge_inputs import MergeInputs
from agentmerge_hub.merging.inputs.model_class import model_class
from agentmerge_hub.merging.inputs.model_configs import decoded
from agentmerge_hub.merging.inputs.tensor_reader import TensorReader
from agentmerge_hub.merging.outputs.model_files import config_of_merge
from agentmerge_hub.tuning.endpoints import Endpoints, read_mixture
from agentmerge_hub.tuning.lambda_groups import LambdaGroups

_RECOMPUTED_FROM = 100_000_000
"""Parameters from which on activations are recomputed in the backward pass."""


class Lambdas:
    """The λ of each group, as the next forward pass uses them."""

    def __init__(self, count: int, device: torch.device) -> None:
        self.values = torch.zeros(count, device=device)


class _Mix(torch.autograd.Function):
    """first + λ·delta; its gradient with respect to λ is ⟨gradient, delta⟩, and nothing else of it is kept."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, first: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(delta)
        return torch.addcmul(first.float(), value, delta.float()).to(first.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (delta,) = ctx.saved_tensors
        return (gradient.float() * delta.float()).sum(), None, None


class _Interpolation(torch.nn.Module):
    """The parametrization of one weight."""

    delta: torch.Tensor

    def __init__(self, lambdas: Lambdas, group: int, delta: torch.Tensor) -> None:
        super().__init__()
        self.lambdas, self.group = lambdas, group
        self.register_buffer("delta", delta, persistent=False)

    def forward(self, first: torch.Tensor) -> torch.Tensor:
        return _Mix.apply(self.lambdas.values[self.group], first, self.delta)


def as_loaded(inputs: MergeInputs) -> MergeInputs:
    """Inputs with the tensors' names and shapes as transformers' parameters, and mergekit's filters, have them: experts that are
    stored one by one are one parameter a layer. Its tensors cannot be read."""
    if not inputs.architecture.separate_experts:
        return inputs
    config = _config(inputs, torch.float32)
    with torch.device("meta"):
        model = model_class(inputs.models[inputs.base].base_folder)._from_config(config)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    architecture = architecture_of(inputs.models[inputs.base].config, shapes)
    return replace(inputs, shapes=shapes, architecture=architecture)


def _config(inputs: MergeInputs, dtype: torch.dtype) -> PreTrainedConfig:
    content = config_of_merge(inputs, "F32") | {"dtype": str(dtype).removeprefix("torch.")}
    return AutoConfig.for_model(**decoded(content))


def load_model(
    tensor_of: Callable[[str], torch.Tensor], inputs: MergeInputs, dtype: torch.dtype, device: torch.device
) -> PreTrainedModel:
    """The model with given tensors, without dropout and without gradients of its weights.

    Args:
        tensor_of: name of a stored tensor → its values.

    Raises:
        UserError: if transformers' class has other parameters than the inputs' files.
    """
    state = {name: tensor_of(name).to(dtype) for name in inputs.shapes}
    kind, config = model_class(inputs.models[inputs.base].base_folder), _config(inputs, dtype)
    model, info = kind.from_pretrained(None, config=config, state_dict=state, dtype=dtype, output_loading_info=True)
    wrong = sorted([*info["missing_keys"], *info["unexpected_keys"]])
    names = {name for name, _ in model.named_parameters()}
    if not inputs.architecture.separate_experts:  # which are joined in loading
        wrong += sorted(names ^ inputs.shapes.keys())
    if wrong:
        raise UserError(
            f"{inputs.base} stores {'other tensors than' if wrong[0] in names else wrong[0] + ', which is not among'} the "
            f"parameters of transformers' {kind.__name__}: λ cannot be learned for such a model yet"
        )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    model.requires_grad_(False)
    return model.to(device).eval()


def interpolated_model(
    endpoints: Endpoints, groups: LambdaGroups, inputs: MergeInputs, dtype: torch.dtype, device: torch.device
) -> tuple[PreTrainedModel, Lambdas]:
    """The model at λ = 0, with weights that follow the λ of their group.

    Raises:
        UserError: as `load_model`.
    """
    with TensorReader() as reader:

        def first(name: str) -> torch.Tensor:
            return read_mixture(name, endpoints.first[name], inputs, reader)

        def delta(name: str) -> torch.Tensor:
            return read_mixture(name, endpoints.second[name], inputs, reader) - first(name)

        model = load_model(first, inputs, dtype, device)
        # Loaded like the model: what transformers does to tensors, such as joining experts, it does to differences alike.
        deltas = dict(load_model(delta, inputs, dtype, device).named_parameters())
    if sum(parameter.numel() for parameter in model.parameters()) >= _RECOMPUTED_FROM:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    lambdas = Lambdas(len(groups.names), device)
    for module in list(model.modules()):
        for key, parameter in list(module.named_parameters(recurse=False)):
            name = names[id(parameter)]
            if name in groups.of:  # a head that is tied to the embeddings shares theirs
                parametrize.register_parametrization(
                    module, key, _Interpolation(lambdas, groups.of[name], deltas[name].data), unsafe=True
                )
    return model, lambdas
