"""Names as the report shows them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentmerge_hub.analysis.episodes import Candidate

METHODS = {
    "base": "base",
    "instruct": "instruct",
    "agent": "agent (base fine-tuned)",
    "instruct_finetuned": "instruct fine-tuned",
    "model_soup": "model soup",
    "agentmerge": "AgentMerge",
}
"""The paper's methods, in the order of tables; others stand between model soup and AgentMerge by name."""

BASELINE = "instruct_finetuned"
"""What the paper measures AgentMerge against first."""

SPLITS = {"inter_task": "inter-task", "cross_task": "cross-task", "validation": "validation"}
SPLIT_MEANINGS = {"inter_task": "new seeds of training tasks", "cross_task": "tasks not trained on"}


def method(name: str) -> str:
    return METHODS.get(name, name.replace("_", " "))


def rank(name: str) -> tuple[int, str]:
    """Place of a method in tables."""
    known = list(METHODS)
    last = len(known)
    return (last if name == known[-1] else known.index(name) if name in known else last - 1, name)


def split(name: str) -> str:
    return SPLITS.get(name, name.replace("_", " "))


def rate(value: float | None) -> str:
    """A learning rate, ``5e-6``."""
    if value is None:
        return ""
    mantissa, exponent = f"{value:.3e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def candidates(items: Iterable["Candidate"]) -> "dict[Candidate, str]":
    """A short label for each: the method, and of its settings those in which the items differ."""
    items = list(items)
    labels = {}
    for item in items:
        rivals = [other for other in items if other.method == item.method]
        parts = [method(item.method)]
        if len({other.learning_rate for other in rivals}) > 1 and item.learning_rate is not None:
            parts.append(f"lr {rate(item.learning_rate)}")
        if len({other.merge_lambda for other in rivals}) > 1 and item.merge_lambda is not None:
            parts.append(f"λ {item.merge_lambda:g}")
        if len({other.samples_seen for other in rivals}) > 1 and item.samples_seen is not None:
            parts.append(f"{item.samples_seen:,} samples")
        if len({other.agent for other in items}) > 1 and item.agent:
            parts.append(item.agent)
        labels[item] = ", ".join(parts)
    return labels
