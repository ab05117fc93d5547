"""A candidate: one method with its settings. Training runs that differ only in their seed are one candidate."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from agentmerge_hub.analysis import labels


class Candidate(NamedTuple):
    """A method under one agent, at one learning rate, checkpoint and λ."""

    agent: str
    method: str
    learning_rate: float | None = None
    samples_seen: int | None = None
    merge_lambda: float | None = None

    @property
    def order(self) -> tuple:
        """Sort key: agent, learning rate, method, samples, λ; nulls first."""
        numbers = (self.learning_rate, labels.rank(self.method), self.samples_seen, self.merge_lambda)
        return (self.agent, *((value is not None, value if value is not None else 0) for value in numbers))


def candidate_in(row: Mapping[str, Any]) -> Candidate:
    """The candidate of an episode or of a table row."""
    return Candidate(row["agent"] or "", row["method"], row["learning_rate"], row["samples_seen"], row["merge_lambda"])


def compared_in(row: Mapping[str, Any]) -> tuple[Candidate, Candidate]:
    """The two candidates of a row of the comparison table."""
    first, second = (Candidate(row["agent"], *(row[f"{key}_{side}"] for key in Candidate._fields[1:])) for side in "ab")
    return first, second


def name_with_lambda(method: str, weight: float | None) -> str:
    """The method, with its λ where it has one."""
    return labels.method(method) + ("" if weight is None else f" (λ {weight:g})")


def curve_name(row: Mapping[str, Any]) -> str:
    """The method, λ and agent that all points of a curve along training have, from the row of one."""
    return name_with_lambda(row["method"], row["merge_lambda"]) + (f", {row['agent']} agent" if row["agent"] else "")


def second_name(row: Mapping[str, Any]) -> str:
    """The second method of a row of the comparison table, with its λ: it may be there at several."""
    return name_with_lambda(row["method_b"], row.get("merge_lambda_b"))


def rates_of(row: Mapping[str, Any], between: str) -> str:
    """The learning rate of a row of the comparison table; both, where the second method has another."""
    rates = [labels.rate(row[f"learning_rate_{side}"]) for side in "ab"]
    return between.join(rate for rate in dict.fromkeys(rates) if rate)


SETTINGS: dict[str, Callable[[Any], str]] = {
    "learning_rate": lambda value: f"lr {labels.rate(value)}",
    "merge_lambda": lambda value: f"λ {value:g}",
    "samples_seen": lambda value: f"{value:,} samples",
    "agent": str,
}


def short_labels(items: Iterable[Candidate]) -> dict[Candidate, str]:
    """A label for each candidate: the method, and only the settings that are needed to keep the labels distinct."""
    names = {item: labels.method(item.method) for item in items}
    for setting, shown in SETTINGS.items():
        counts = Counter(names.values())
        for item, name in names.items():
            value = getattr(item, setting)
            if counts[name] > 1 and value not in (None, ""):
                names[item] = f"{name}, {shown(value)}"
    return names
