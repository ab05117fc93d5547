"""The training loop of the tiny models: weighted next-token loss, AdamW, warm-up and linear decay."""

from collections.abc import Iterator

import torch
from rich.progress import track
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from agentmerge_hub.training.preflight.cpu_features import has_fast_bfloat16

Batch = tuple[torch.Tensor, torch.Tensor]
"""Token ids and the weight of each in the loss: [rows, length] both."""


def train(model: LlamaForCausalLM, batches: Iterator[Batch], steps: int, learning_rate: float, what: str) -> float:
    """Train in place; returns the mean loss of the last tenth."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 20, 1.8 * (1 - step / steps) + 0.05)
    )
    print(f"Training the {what} model: {steps} steps", flush=True)
    model.train()
    losses = []
    for _, (ids, weights) in zip(track(range(steps), f"The {what} model", transient=True), batches):
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            logits = model(ids, use_cache=False).logits
        each = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        weight = weights[:, 1:].flatten()
        loss = (each * weight).sum() / weight.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)
