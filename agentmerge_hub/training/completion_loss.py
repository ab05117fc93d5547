"""The completion's loss without the prompt's logits, on CPUs.

TRL's fused output layer skips positions without a label on GPUs only; on other devices it computes logits at every
position and drops the prompt's afterwards. With prompts of thousands of tokens and vocabularies of 262,144 that is most
of a step.
"""

import types
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast
from trl.trainer.utils import FusedCausalLMOutput

from agentmerge_hub.training.rows import IGNORED

MAX_LOGITS = 2**28
"""Most logits in memory at a time: 1 GiB in float32, and a few times that with what is computed from them. Up to this
number they are computed in one product, which takes half the time of TRL's tiles on a CPU; above it, in TRL's tiles."""


def skip_prompt_logits(model: PreTrainedModel, max_logits: int = MAX_LOGITS, *, by_row: bool = False) -> None:
    """Make TRL's loss compute logits at trained positions only; loss and gradients stay the same.

    The hidden states before each trained label are gathered into one sequence (1, number of labels), which is what the
    output layer then sees: by a hook before the output layer, or, for TRL's tiles, behind the decoder. Calls other than
    those of TRL's loss are not changed. The loss of a mixture of experts' router is computed by TRL, on all positions.

    Args:
        model: after TRL's trainer has added its fused output layer (`trl.trainer.utils.add_fused_lm_head`), not wrapped.
        max_logits: labels × vocabulary up to which logits are computed in one product.
        by_row: return the values of tokens as TRL does, (batch, length - 1) with zeros where nothing is trained: the losses of
            preference optimization sum them row by row. They are always computed in TRL's tiles.
    """
    fused_forward = model.forward
    vocabulary = model.get_output_embeddings().weight.shape[0]
    # During a forward pass: which positions (batch, length - 1) are trained, for one of the hooks.
    behind_decoder: list[torch.Tensor] = []
    before_head: list[torch.Tensor] = []

    def gather(_module: torch.nn.Module, _args: Any, output: BaseModelOutputWithPast) -> BaseModelOutputWithPast:
        if behind_decoder and output.last_hidden_state is not None:
            output.last_hidden_state = output.last_hidden_state[:, :-1][behind_decoder[0]][None]
        return output

    def gather_input(_module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0][:, :-1][before_head[0]][None], *args[1:]) if before_head else args

    def forward(
        self: PreTrainedModel,
        *args: Any,
        fused_lm_head: bool = False,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if not fused_lm_head or labels is None:
            kwargs |= {"fused_lm_head": True} if fused_lm_head else {}
            return (
                fused_forward(*args, labels=labels, **kwargs) if labels is not None else fused_forward(*args, **kwargs)
            )
        trained = labels[:, 1:] != IGNORED
        targets = labels[:, 1:][trained][None]
        try:
            if by_row:
                behind_decoder.append(trained)
                return _by_row(fused_forward(*args, fused_lm_head=True, shift_labels=targets, **kwargs), trained)
            if targets.numel() * vocabulary > max_logits or kwargs.get("output_router_logits"):
                behind_decoder.append(trained)
                return fused_forward(*args, fused_lm_head=True, shift_labels=targets, **kwargs)
            before_head.append(trained)
            return _scores(fused_forward(*args, **kwargs).logits, targets)
        finally:
            behind_decoder.clear()
            before_head.clear()

    model.base_model.register_forward_hook(gather)
    model.get_output_embeddings().register_forward_pre_hook(gather_input)
    model.forward = types.MethodType(forward, model)


def _scores(logits: torch.Tensor, targets: torch.Tensor) -> FusedCausalLMOutput:
    """The output that TRL's loss and metrics read.

    Args:
        logits: of the trained positions (1, N, vocabulary).
        targets: their labels (1, N).
    """
    logprobs = logits.float().log_softmax(-1)
    with torch.no_grad():
        entropy = -(logprobs.exp() * logprobs).sum(-1)
        is_top1 = logprobs.argmax(-1) == targets
    # A copy: FSDP2 allows no views as a module's output.
    log_probs = logprobs.gather(-1, targets[..., None])[..., 0].clone()
    return FusedCausalLMOutput(
        loss=-log_probs.mean(), log_probs=log_probs, entropy=entropy, is_top1=is_top1,
        label_mask=torch.ones_like(is_top1),
    )  # fmt: skip


def _by_row(output: FusedCausalLMOutput, trained: torch.Tensor) -> FusedCausalLMOutput:
    """Put the values of the trained positions (1, N) where `trained` (batch, length - 1) is true."""
    for name in ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1", "label_mask"):
        value = getattr(output, name)
        if value is not None:
            setattr(output, name, value.new_zeros(trained.shape).masked_scatter(trained, value))
    return output
