"""Names as the report shows them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

METHODS = {
    "base": "base",
    "instruct": "instruct",
    "agent": "agent (base fine-tuned)",
    "instruct_finetuned": "instruct fine-tuned",
    "model_soup": "model soup",
    "agentmerge": "AgentMerge",
}
"""The paper's methods, in the order of tables; other methods are sorted by name between model soup and AgentMerge."""

SPELLINGS = {"base_finetuned": "agent", "soup": "model_soup", "agent_merge": "agentmerge"}

BASELINE = "instruct_finetuned"
"""The paper's first baseline for AgentMerge."""

SPLITS = {"inter_task": "inter-task", "cross_task": "cross-task", "validation": "validation"}


def method(name: str) -> str:
    return METHODS.get(name, name.replace("_", " "))


def canonical(name: str) -> str:
    """One spelling for each of the paper's methods (``instruct-fine-tuned`` → ``instruct_finetuned``); others unchanged."""
    plain = name.lower().replace("-", "_").replace(" ", "_").replace("fine_tuned", "finetuned")
    plain = SPELLINGS.get(plain, plain)
    return plain if plain in METHODS else name


def rank(name: str) -> tuple[int, str]:
    """Sort key of a method in tables."""
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
    """A number in its shortest form; empty for None."""
    return "" if value is None else f"{value:g}"
