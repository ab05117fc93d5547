"""Names as the report shows them."""

from collections import Counter
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

SPELLINGS = {"base_finetuned": "agent", "soup": "model_soup", "agent_merge": "agentmerge"}

BASELINE = "instruct_finetuned"
"""What the paper measures AgentMerge against first."""

SPLITS = {"inter_task": "inter-task", "cross_task": "cross-task", "validation": "validation"}


def method(name: str) -> str:
    return METHODS.get(name, name.replace("_", " "))


def canonical(name: str) -> str:
    """The paper's methods under one spelling, ``instruct-fine-tuned`` as ``instruct_finetuned``; others as they are."""
    plain = name.lower().replace("-", "_").replace(" ", "_").replace("fine_tuned", "finetuned")
    plain = SPELLINGS.get(plain, plain)
    return plain if plain in METHODS else name


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


def plain(value: float | None) -> str:
    """A setting as short as it can be written, nothing for None."""
    return "" if value is None else f"{value:g}"


SETTINGS = {
    "learning_rate": lambda value: f"lr {rate(value)}",
    "merge_lambda": lambda value: f"λ {value:g}",
    "samples_seen": lambda value: f"{value:,} samples",
    "agent": str,
}


def candidates(items: "Iterable[Candidate]") -> "dict[Candidate, str]":
    """A short label for each: the method, and as many of its settings as it takes to tell it from the others."""
    names = {item: method(item.method) for item in items}
    for setting, shown in SETTINGS.items():
        counts = Counter(names.values())
        for item, name in names.items():
            value = getattr(item, setting)
            if counts[name] > 1 and value not in (None, ""):
                names[item] = f"{name}, {shown(value)}"
    return names
