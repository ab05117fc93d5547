"""What two compared methods do not have in common besides the method: prompt flags, engine and number format of their episodes."""

from agentmerge_hub.analysis import labels, prompt_flags
from agentmerge_hub.analysis.candidates import compared_in
from agentmerge_hub.analysis.episodes import Results

SERVING = {"engine": "by one engine", "number_format": "in one number format"}


def differences(results: Results, comparisons: list[dict]) -> list[str]:
    """A sentence for each comparison whose episodes were not all made under the same conditions."""
    found: dict[str, None] = {}
    for split in dict.fromkeys(row["split"] for row in comparisons):
        episodes = results.by_candidate(split)
        for row in (row for row in comparisons if row["split"] == split and row["pairs"]):
            sides = compared_in(row)
            names = " and ".join(labels.method(side.method) for side in sides)
            mine = [episode for side in sides for episode in episodes.get(side, [])]
            if flags := prompt_flags.unlike(mine):
                found[
                    f"{names} were evaluated with unlike prompts ({', '.join(flags)}) under one agent's name: a difference between "
                    "them may be that of the prompts."
                ] = None
            for column, how in SERVING.items():
                values = sorted({value for episode in mine for value in (episode[column] or "").split(", ") if value})
                if len(values) > 1:
                    found[
                        f"{names} were not all served {how} ({'; '.join(values)}): a difference may come from that."
                    ] = None
    return list(found)
