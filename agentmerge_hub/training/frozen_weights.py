"""Frozen weights of LoRA's base in bfloat16, where autocast would make bfloat16 of them at every product: half the memory.

Every loss and gradient is the same bit for bit, whatever the checkpoint's precision; the adapter is merged into the checkpoint's
own weights in the end. Embeddings, norms and experts of a mixture stay in float32, and with them the residual stream.
"""

from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.process_group import is_sharded


def bfloat16_weights(model: Any, config: RunConfig) -> Iterator[torch.nn.Parameter]:
    """The parameters of a run that are kept in bfloat16: frozen ones of linear layers that autocast multiplies in it.

    None where other weights are computed from them in float32 (DoRA, lora_target_parameters) or a kernel reads them itself
    (Mamba and other models with a state); none where weights are sharded, in groups of one precision.

    Args:
        model: with its adapter and frozen parameters; without weights (``meta``) too.
        config: the run's settings.
    """
    adapter: Any = config.peft
    quantized = config.model.load_in_4bit or config.model.load_in_8bit
    if not adapter or not config.sft.bf16 or config.model.dtype != "float32" or quantized or is_sharded():
        return
    base = model.get_base_model()
    if adapter.use_dora or adapter.target_parameters or getattr(base, "_is_stateful", False):
        return
    embeddings = {id(module.weight) for module in base.modules() if isinstance(module, torch.nn.Embedding)}
    for name, module in base.named_modules():
        of_the_adapter = "lora_" in name or "modules_to_save" in name
        if type(module) is torch.nn.Linear and not of_the_adapter and id(module.weight) not in embeddings:
            yield from (parameter for parameter in module.parameters() if not parameter.requires_grad)


def store_in_bfloat16(model: PreTrainedModel | PeftModel, config: RunConfig) -> None:
    """Convert them in place. Call it when nothing computes outside of autocast any more."""
    parameters = list(bfloat16_weights(model, config))
    for parameter in parameters:
        parameter.data = parameter.data.to(torch.bfloat16)
    torch.cuda.empty_cache()  # blocks of float32 weights fit no activations
    if parameters and not config.model.lora_dropout:
        for module in model.modules():
            if isinstance(module, LoraLayer):
                # PEFT would make float32 of a bfloat16 input, which dropout may need, and autocast bfloat16 again of that.
                module.cast_input_dtype_enabled = False
