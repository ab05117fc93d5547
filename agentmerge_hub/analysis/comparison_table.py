"""The report's comparisons: which methods are compared, Holm's correction over all of them, and a verdict on each."""

from collections.abc import Collection

from agentmerge_hub.analysis import statistics
from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.comparisons import ALPHA, IMPUTATIONS, compare, finished_by_both, plain
from agentmerge_hub.analysis.episodes import Key, Results, common_keys


def table(
    results: Results,
    candidates: list[Candidate],
    focus: str,
    keys: dict[tuple[str, str], set[Key]] | None = None,
    chosen: Collection[Candidate] = (),
    on: str = "validation",
    *,
    draws: int = 4_000,
    seed: int = 0,
) -> list[dict]:
    """The method in focus against every other method under the same agent, split by split.

    Methods are compared at equal learning rates; one that shares no rate with the focus (the instruct model has none) is
    compared at all of its rates. Holm's correction covers all comparisons of the report.

    Args:
        keys: (split, agent) → the (task, seed) that Table 1 describes.
        chosen: candidates that were chosen from several on the split `on`, whose scores there give no verdict.
    """
    planned = []
    for split in (split for split in results.splits if split != "validation"):
        episodes = results.by_candidate(split)
        for agent in dict.fromkeys(candidate.agent for candidate in candidates):
            for a, b in _rivals([c for c in candidates if c.agent == agent], focus):
                left, right = episodes.get(a, []), episodes.get(b, [])
                shared = (keys or {}).get((split, agent))
                shared = common_keys([left, right]) if shared is None else shared
                planned.append((split, agent, a, b, left, right, shared))
    tests = sum(bool(finished_by_both(left, right, shared)) for *_, left, right, shared in planned)
    rows = []
    for split, agent, a, b, left, right, shared in planned:
        names = {f"{key}_a": value for key, value in a._asdict().items() if key != "agent"}
        names |= {f"{key}_b": value for key, value in b._asdict().items() if key != "agent"}
        numbers = compare(left, right, split, shared, draws=draws, seed=seed, tests=tests)
        biased = split == on and (a in chosen or b in chosen)
        rows.append({"split": split, "agent": agent, **names, **numbers, "chosen_here": biased})
    return judge(rows)


def judge(rows: list[dict]) -> list[dict]:
    """Add ``p_holm`` over all rows, and ``verdict``: *better* or *worse* only where the data separate the methods.

    Lost episodes are filled in four ways (IMPUTATIONS), each with Holm's correction of its own; a verdict needs the same
    answer from the finished episodes and from all of these.
    """
    corrected = {"": _holm(rows, "p")} | {name: _holm(rows, f"p_{name}") for name in IMPUTATIONS}
    for place, row in enumerate(rows):
        row["p_holm"] = corrected[""][place]
        found = {_direction(row["p_holm"], row.get("difference"))}
        for name in IMPUTATIONS:
            if row.get(f"difference_{name}") is not None:
                found.add(_direction(corrected[name][place], row[f"difference_{name}"]))
        row["verdict"] = _verdict(row, found)
    return rows


def _holm(rows: list[dict], name: str) -> list[float | None]:
    """Corrected p-values of a column; rows without lost episodes have their p under every imputation."""
    values = [row["p"] if row.get(name) is None else row[name] for row in rows if row.get("p") is not None]
    adjusted = iter(statistics.holm(values))
    return [plain(next(adjusted)) if row.get("p") is not None else None for row in rows]


def _direction(p: float | None, difference: float | None) -> str:
    if p is None or difference is None or p >= ALPHA:
        return "not settled"
    return "better" if difference > 0 else "worse"


def _verdict(row: dict, found: set[str]) -> str:
    if not row["pairs"]:
        return "not compared"
    if not row["about_methods"]:
        return "these two models" if row["runs_a"] == row["runs_b"] == 1 else "these models"
    return found.pop() if len(found) == 1 and not row.get("chosen_here") else "not settled"


def _rivals(candidates: list[Candidate], focus: str) -> list[tuple[Candidate, Candidate]]:
    mine = [candidate for candidate in candidates if candidate.method == focus]
    rates = {candidate.learning_rate for candidate in mine}
    pairs = []
    for a in mine:
        for method in dict.fromkeys(c.method for c in candidates if c.method != focus):
            others = [c for c in candidates if c.method == method]
            shared = any(b.learning_rate in rates for b in others)
            pairs += [(a, b) for b in others if not shared or b.learning_rate == a.learning_rate]
    return pairs
