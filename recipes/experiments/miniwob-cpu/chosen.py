"""Write into a recipe the candidates that validation chose: for each method and learning rate one λ, every seed of it.

    python chosen.py validation/results.parquet validation.yaml reported.yaml > OUT
    python chosen.py --more validation/results.parquet validation.yaml reported.yaml > OUT

The choice is the highest mean reward over the validation episodes of all seeds; at a tie λ nearer ½. The methods that Table 1
does not have are evaluated at AgentMerge's best learning rate alone. With --more the recipe has what only figures show, on new
tasks with fewer seeds and at that learning rate: the other λ, and the checkpoints halfway through training of the two methods
that Figure 3 draws.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from agentmerge_hub.agents.recipes.recipe import Candidate, read
from agentmerge_hub.errors import UserError

DRAWN = ("instruct-fine-tuned", "agentmerge")
TABLE_1 = (*DRAWN, "model-soup")
FEWER_SEEDS = "1010-1012"


def main(results: Path, validation: Path, reported: Path, *, more: bool) -> None:
    frame = pq.read_table(results).to_pandas()
    frame["reward"] = frame["reward"].where(frame["status"] == "done", 0.0).fillna(0.0)
    if (missing := int((frame["status"] == "missing").sum())) > 0:
        raise UserError(f"{results} lacks {missing} episodes: run the validation to its end first")
    frame["apart"] = (frame["merge_lambda"] - 0.5).abs()
    settings = ["method", "learning_rate", "merge_lambda", "apart"]
    frame["setting"] = frame.groupby(settings, dropna=False).ngroup()
    scores = frame.groupby(["setting", *settings], dropna=False)["reward"].mean().reset_index()
    scores = scores.sort_values(["reward", "learning_rate", "apart"], ascending=[False, True, True])
    print(
        "# validation, mean reward of each setting:",
        *(f"#   {line}" for line in scores.to_string(index=False).splitlines()),
        sep="\n",
    )
    rate = scores[scores["method"] == "agentmerge"]["learning_rate"].iloc[0]
    chosen = set(scores.drop_duplicates(["method", "learning_rate"])["setting"])
    of = frame.drop_duplicates("model").set_index("model")

    recipe = yaml.safe_load(reported.read_text(encoding="utf-8"))
    candidates = read(validation).candidates
    if more:
        drawn = [c for c in candidates if c.method in DRAWN and of["learning_rate"][c.name] == rate]
        candidates = [c for c in drawn if of["setting"][c.name] not in chosen]
        candidates += [early for c in drawn if of["setting"][c.name] in chosen for early in _earlier(c)]
        recipe["name"], recipe["candidates"] = "more", []
        new_tasks = [group for group in recipe["episodes"] if group["split"] == "cross_task"]
        recipe["episodes"] = [group | {"seeds": FEWER_SEEDS} for group in new_tasks]
    else:
        candidates = [c for c in candidates if of["setting"][c.name] in chosen]
        candidates = [c for c in candidates if c.method in TABLE_1 or of["learning_rate"][c.name] == rate]
    recipe["candidates"] += [candidate.model_dump(exclude_defaults=True) for candidate in candidates]
    print(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))


def _earlier(candidate: Candidate) -> list[Candidate]:
    """The earlier checkpoints of a run; of a merge, the merges of earlier checkpoints in the same folder."""
    path = Path(candidate.path)
    merges = sorted(path.parent.glob(f"checkpoint-*-{path.name}"))
    runs = sorted(path.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))[:-1]
    return [
        candidate.model_copy(update={"name": f"{candidate.name}-{folder.name}", "path": str(folder)})
        for folder in merges or runs
    ]


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:] if argument != "--more"]
    main(*paths, more="--more" in sys.argv)
