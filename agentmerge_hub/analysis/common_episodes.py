"""The episodes that Table 1, its figure, the terminal and the comparisons describe: those that all methods were planned on."""

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.episodes import Key, Results, Row, common_keys, key_of

Shared = dict[tuple[str, str], set[Key]]
"""(split, agent) → the (task, seed) that every run of every candidate has."""


def shared_episodes(results: Results, candidates: list[Candidate]) -> tuple[Shared, list[str]]:
    """Common (task, seed) of the candidates in each reported split, and a note wherever some episodes are left out.

    Where the candidates have no episode in common, the split is absent: Table 1 then shows each on its own episodes, and
    each comparison uses those of its two sides.
    """
    shared: Shared = {}
    notes = []
    for split in (split for split in results.splits if split != "validation"):
        groups = {candidate: rows for candidate, rows in results.by_candidate(split).items() if candidate in candidates}
        agents = dict.fromkeys(candidate.agent for candidate in groups)
        for agent in agents:
            mine = [rows for candidate, rows in groups.items() if candidate.agent == agent]
            every = {key_of(row) for rows in mine for row in rows}
            common = common_keys(mine)
            where = labels.split(split) + (f", {agent} agent" if len(agents) > 1 else "")
            if not common:
                notes.append(
                    f"The methods have no episode in common ({where}): Table 1 shows each method on its own episodes, and each "
                    "comparison uses those of its two methods."
                )
                continue
            shared[split, agent] = common
            if len(common) < len(every):
                notes.append(
                    f"The methods were not scored on the same episodes ({where}): Table 1, its figure, the comparisons and the shares "
                    f"of what these models did use the {len(common)} common ones of {len(every)}."
                )
    return shared, notes


def within(rows: list[Row], split: str, candidate: Candidate, shared: Shared | None) -> list[Row]:
    """The rows of a candidate that are among the shared episodes of its split and agent."""
    keys = (shared or {}).get((split, candidate.agent))
    return rows if keys is None else [row for row in rows if key_of(row) in keys]
