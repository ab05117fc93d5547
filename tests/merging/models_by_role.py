"""Models of the three roles of a merge, near each other."""

from typing import Any

import torch

ROLES = ("base", "agent", "instruct")


def save_roles(model: Any, tokenizer: Any) -> None:
    """Save a model in this folder as base, agent and instruct, each a step of small noise from the one before."""
    for role in ROLES:
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(0.01 * torch.randn_like(weight))
        model.save_pretrained(role)
        tokenizer.save_pretrained(role)
