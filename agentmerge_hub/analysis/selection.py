"""Choose λ and checkpoint on validation tasks, so that the tasks a method is reported on never choose it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import Candidate, candidate_in, short_labels
from agentmerge_hub.analysis.episodes import Key, Results, Row, done, key_of
from agentmerge_hub.errors import UserError


@dataclass(frozen=True)
class Choice:
    """The candidates that tables compare, a table of the candidates they were chosen from, and notes for the reader."""

    candidates: list[Candidate]
    table: list[dict]
    notes: list[str]

    @property
    def chosen(self) -> set[Candidate]:
        """The candidates that were chosen from several."""
        return {candidate_in(row) for row in self.table if row["chosen"]}


def choose(results: Results, on: str = "validation") -> Choice:
    """One candidate for each (agent, method, learning rate).

    Of those with episodes to choose on, the highest mean reward on the (task, seed) that all of them finished, each counted
    once; at a tie fewer samples, then λ nearer ½, then the smaller λ. Candidates without reported episodes are scored too but cannot be chosen.
    Where none has episodes to choose on, or they finished none in common: the last checkpoint, and every λ stays, because the
    reported episodes must not choose it.

    Args:
        on: the split to choose on. Scores on any split but ``validation`` are biased upwards, and a note says so.

    Raises:
        UserError: if a split other than the default is named and has no episode.
    """
    if on != "validation" and on not in results.splits:
        raise UserError(f"--choose-on {on!r}: the results hold {', '.join(results.splits)}")
    validation = {candidate: done(rows) for candidate, rows in results.by_candidate(on).items()}
    groups: dict[tuple, list[Candidate]] = {}
    names = short_labels(results.by_candidate())
    reported = set(_reported(results))
    for candidate in names:
        groups.setdefault((candidate.agent, candidate.method, candidate.learning_rate), []).append(candidate)
    kept: list[Candidate] = []
    table: list[dict] = []
    notes: list[str] = []
    for group in groups.values():
        if not (settings := [candidate for candidate in group if candidate in reported]):
            continue
        scored = {candidate: rows for candidate in group if (rows := validation.get(candidate))}
        eligible = [candidate for candidate in settings if candidate in scored]
        rewards = {candidate: _by_key(rows) for candidate, rows in scored.items()}
        common = set.intersection(*map(set, rewards.values())) if rewards else set()
        if not eligible or not common:
            kept += _last(settings)
            if len(settings) > 1:
                notes.append(_unchosen(settings, f"{on} episodes" + (" in common" if eligible else "")))
            continue
        if len(scored) > 1:
            kept.append(best := _best(rewards, common, eligible, table))
            notes += _ties_and_edges(best, table[-len(scored) :], names)
            if len(common) < (every := len(set.union(*map(set, rewards.values())))):
                notes.append(
                    f"The choice of {names[best]} rests on the {len(common)} {on} (task, seed) of {every} that all of its {len(scored)} "
                    "settings finished."
                )
        else:
            kept += eligible
        if len(eligible) < len(settings):
            apart = "; ".join(names[candidate] for candidate in settings if candidate not in scored)
            notes.append(f"Without {on} episodes, these were not among the candidates of the choice: {apart}.")
    if table and on != "validation":
        notes.append(
            f"λ and checkpoints were chosen on the {labels.split(on)} episodes, so the {labels.split(on)} scores of the methods "
            "that had a choice are biased upwards; the other splits are not."
        )
    return Choice(sorted(kept, key=lambda candidate: candidate.order), table, notes)


def _reported(results: Results) -> Iterable[Candidate]:
    for candidate, rows in results.by_candidate().items():
        if any(row["split"] != "validation" for row in rows):
            yield candidate


def _by_key(rows: list[Row]) -> dict[Key, float]:
    """Mean reward of each (task, seed) over training runs."""
    rewards: dict[Key, list[float]] = {}
    for row in rows:
        rewards.setdefault(key_of(row), []).append(row["reward"])
    return {key: float(np.mean(values)) for key, values in rewards.items()}


def _best(
    rewards: dict[Candidate, dict[Key, float]], common: set[Key], eligible: list[Candidate], table: list[dict]
) -> Candidate:
    means = {candidate: float(np.mean([mine[key] for key in sorted(common)])) for candidate, mine in rewards.items()}
    best = min(
        eligible,
        key=lambda c: (-round(means[c], 12), c.samples_seen or 0, _from_half(c.merge_lambda), c.order),
    )
    for candidate, mean in means.items():
        table.append(
            {**candidate._asdict(), "validation_reward": mean, "episodes": len(common), "chosen": candidate == best}
        )
    return best


def _from_half(weight: float | None) -> float:
    """How far λ is from ½: 0.3 as far as 0.7."""
    return 0.0 if weight is None else round(abs(weight - 0.5), 12)


def _ties_and_edges(best: Candidate, rows: list[dict], names: dict[Candidate, str]) -> list[str]:
    """Notes where the highest score is shared, and where the chosen λ is the first or last of those tried."""
    notes = []
    chosen = next(row for row in rows if row["chosen"])
    higher = [row for row in rows if row["validation_reward"] > chosen["validation_reward"] + 1e-9]
    if higher:
        first = max(higher, key=lambda row: row["validation_reward"])
        notes.append(
            f"{names[candidate_in(first)]} scored higher ({first['validation_reward']:.3f} to {chosen['validation_reward']:.3f}) than "
            f"the chosen {names[best]}, but has no reported episodes."
        )
    equal = [candidate_in(row) for row in rows if abs(row["validation_reward"] - chosen["validation_reward"]) < 1e-9]
    if len(equal) > 1:
        notes.append(
            f"The choice was a tie: {' and '.join(names[c] for c in equal)} scored the same ({chosen['validation_reward']:.3f}); "
            f"{names[best]} was taken by rule (fewer samples, then λ nearer ½, then the smaller λ)."
        )
    tried = sorted({row["merge_lambda"] for row in rows if row["merge_lambda"] is not None})
    if len(tried) > 1 and best.merge_lambda in (tried[0], tried[-1]):
        side = "smaller" if best.merge_lambda == tried[0] else "larger"
        notes.append(
            f"The chosen λ {best.merge_lambda:g} of {names[best]} is at the edge of the values tried "
            f"({', '.join(f'{value:g}' for value in tried)}): a {side} one may score higher."
        )
    return notes


def _last(settings: list[Candidate]) -> list[Candidate]:
    last = max(candidate.samples_seen or 0 for candidate in settings)
    return [candidate for candidate in settings if (candidate.samples_seen or 0) == last]


def _unchosen(settings: list[Candidate], what_for: str) -> str:
    method, rate = labels.method(settings[0].method), settings[0].learning_rate
    at = f" at learning rate {labels.rate(rate)}" if rate is not None else ""
    at += f" with the {settings[0].agent} agent" if settings[0].agent else ""
    lambdas = {candidate.merge_lambda for candidate in settings}
    what = "the last checkpoint is shown"
    if len(lambdas) > 1:
        what = "every λ is shown, and choosing the best of them here would bias its score upwards"
    return (
        f"{method}{at} was scored in {len(settings)} settings without {what_for} to choose on: {what}. "
        "--validation-task sets tasks aside for that."
    )
