"""Preference optimization as a way of training."""

from agentmerge_hub.training.method import Method
from agentmerge_hub.training.preference import margins, pairs
from agentmerge_hub.training.preference.trainer import new_trainer

DPO = Method(
    stage="preference",
    answers=pairs.ANSWERS,
    tokenize=pairs.tokenize,
    longest=pairs.longest,
    new_trainer=new_trainer,
    new_scorer=margins.new_scorer,
)
"""Direct preference optimization (Rafailov et al., 2023), computed by TRL."""
