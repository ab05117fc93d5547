"""Which modules LoRA can adapt so that the model with the merged adapter is the one that was trained: the others are refused, and
those that had no part in the training are reported."""

from collections.abc import Sequence
from typing import Any

import torch
from peft import PeftConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers import PreTrainedModel

from agentmerge_hub.errors import UserError
from agentmerge_hub.plural import counted

_PREFIX = "base_model.model."
"""Of PEFT, before the model's own names."""


def check_modules_to_save(model: PreTrainedModel, adapter: PeftConfig) -> None:
    """Refuse names of lora_modules_to_save that no module has; PEFT ignores them."""
    names = [name for name, _ in model.named_modules()]
    for wanted in getattr(adapter, "modules_to_save", None) or ():
        if not any(name == wanted or name.endswith(f".{wanted}") for name in names):
            raise UserError(
                f"lora_modules_to_save: {wanted!r} is no module of the model: modules have names like {names[-1]!r}"
            )


def check_tied_embedding(model: Any) -> None:
    """Refuse an adapter on an embedding that is also the output layer: the merged model would differ from the trained one."""
    base = model.get_base_model()
    embedding = base.get_input_embeddings()
    tied = getattr(base.config.get_text_config(), "tie_word_embeddings", False)
    if tied and isinstance(embedding, BaseTunerLayer):
        raise UserError(
            "lora_target_modules names the embedding, which is tied to the output layer, so that merging the adapter would change "
            "both: name it in lora_modules_to_save instead"
        )


def check_forward_passes(model: Any) -> None:
    """Refuse an adapter on a module that computes something else than a product with its weights, such as a router's choice.

    PEFT adds the adapter's product to what the module returns. Only if that is the product with the module's own weights,
    adding the adapter to the weights gives the same.

    Args:
        model: with its adapter; without weights (``meta``) too.

    Raises:
        UserError: names the module, and those that can be adapted.
    """
    adapted = [(name, layer.get_base_layer()) for name, layer in _adapted(model)]
    products: dict[type, bool] = {}
    for _, layer in adapted:
        if type(layer) not in products:
            products[type(layer)] = _is_product(layer)
    for name, layer in adapted:
        if not products[type(layer)]:
            others = [other for other, each in adapted if products[type(each)]]
            raise UserError(
                f"lora_target_modules adapts {name} ({type(layer).__name__}), which computes more than a product with its weights, "
                f"so that an adapter cannot be merged into it: {_instead([name], others)}"
            )


def _is_product(layer: nn.Module) -> bool:
    """Whether a linear layer or an embedding with a forward pass of its own computes what the plain one does."""
    kind = next((each for each in (nn.Linear, nn.Embedding) if isinstance(layer, each)), None)
    if kind is None or type(layer).forward is kind.forward:
        return True
    draws = torch.Generator().manual_seed(0)
    tensors = (*layer.named_parameters(), *layer.named_buffers())
    weights = {name: _random(each, layer, draws) for name, each in tensors}
    if kind is nn.Embedding:
        given = torch.tensor([0, 1])
        scale: Any = weights.get("embed_scale", getattr(layer, "embed_scale", 1.0))  # PEFT's adapters apply it too
        expected = nn.functional.embedding(given, weights["weight"]) * scale
    else:
        given = torch.randn(2, weights["weight"].shape[1], generator=draws)
        expected = nn.functional.linear(given, weights["weight"], weights.get("bias"))
    try:
        with torch.no_grad():
            found = torch.func.functional_call(layer, weights, (given,))
    except (RuntimeError, TypeError, ValueError, IndexError):
        return False
    same_shape = isinstance(found, torch.Tensor) and found.shape == expected.shape
    return same_shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-3)


def _random(tensor: torch.Tensor, layer: nn.Module, draws: torch.Generator) -> torch.Tensor:
    """Random numbers in place of a tensor; an embedding's rows are all the same, so that a large one takes no memory."""
    if isinstance(layer, nn.Embedding) and tensor.dim() == 2:
        return torch.randn(1, tensor.shape[1], generator=draws).expand(tensor.shape)
    return torch.randn(tensor.shape, generator=draws)


def check_saved_names(model: Any) -> None:
    """Refuse adapters that PEFT saves and would not load again, neither to resume nor to merge: it gives them the names that
    transformers gives a checkpoint's weights, which for some models are names of nothing (Laguna's shared experts).

    Args:
        model: with its adapter, without weights (``meta``).

    Raises:
        UserError: names the first one, and the modules that can be adapted.
    """
    loaded: Any = set_peft_model_state_dict(model, get_peft_model_state_dict(model, save_embedding_layers=False))
    lost = [key.removeprefix(_PREFIX).partition(".lora_")[0] for key in loaded.missing_keys if ".lora_" in key]
    if lost:
        others = [name for name, _ in _adapted(model) if name not in lost]
        raise UserError(
            f"lora_target_modules adapts {lost[0]}, whose adapter PEFT saves under a name that it does not load again: "
            f"{_instead(lost, others)}"
        )


def _adapted(model: Any) -> list[tuple[str, LoraLayer]]:
    return [(name.removeprefix(_PREFIX), each) for name, each in model.named_modules() if isinstance(each, LoraLayer)]


def _instead(refused: Sequence[str], others: Sequence[str]) -> str:
    """What to do: name the modules that can be adapted by the last part of their names."""
    names = sorted({each.rpartition(".")[2] for each in others} - {each.rpartition(".")[2] for each in refused})
    if not names:
        return "name linear layers instead"
    return f"set lora_target_modules to modules without it, [{', '.join(names)}] or some of them"


def untrained_warning(model: Any) -> str | None:
    """A sentence if adapters are as they began, None if none is: some models read the weights of a layer and never call it.

    Args:
        model: with its trained adapter, not merged yet.
    """
    factors = {name: layer.lora_B for name, layer in _adapted(model) if layer.lora_B}
    unchanged = [name for name, each in factors.items() if not any(bool(p.any()) for p in each.parameters())]
    if not unchanged:
        return None
    return (
        f"Warning: {len(unchanged)} of {counted(len(factors), 'adapter')} had no part in the training, such as that of {unchanged[0]}: the "
        "model never calls the layer, or no token reached it; the merged model has the base's weights there"
    )
