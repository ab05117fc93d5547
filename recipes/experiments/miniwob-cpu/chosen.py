"""Write into a recipe the candidates that validation chose: for each method one learning rate, every seed and λ of it.

    python chosen.py validation/results.parquet validation.yaml reported.yaml > OUT
    python chosen.py --earlier validation/results.parquet validation.yaml reported.yaml > OUT

The choice is the highest mean reward over the validation episodes of all seeds; at a tie the smaller learning rate, then λ
nearer ½. Every λ is asked for, so that the report shows the curve; it compares the chosen λ alone. Candidates without a
learning rate, such as the instruct model, are not chosen among. With --earlier the recipe asks for earlier checkpoints of
the two methods that Figure 3 draws, and merges of such at the chosen λ, on new tasks alone.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from agentmerge_hub.agents.recipe import Candidate, read
from agentmerge_hub.errors import UserError

ALONG_TRAINING = ("instruct-fine-tuned", "agentmerge")
FEWER_SEEDS = "1010-1012"


def main(results: Path, validation: Path, reported: Path, *, earlier: bool) -> None:
    frame = pq.read_table(results).to_pandas()
    frame["reward"] = frame["reward"].where(frame["status"] == "done", 0.0).fillna(0.0)
    if (missing := int((frame["status"] == "missing").sum())) > 0:
        raise UserError(f"{results} lacks {missing} episodes: run the validation to its end first")
    frame["apart"] = (frame["merge_lambda"] - 0.5).abs()
    settings = ["method", "learning_rate", "merge_lambda", "apart"]
    scores = frame.groupby(settings, dropna=False)["reward"].mean().reset_index()
    scores = scores.sort_values(["reward", "learning_rate", "apart"], ascending=[False, True, True])
    best = scores.drop_duplicates("method").set_index("method")
    print(
        "# validation, mean reward of each setting:",
        *(f"#   {line}" for line in scores.to_string().splitlines()),
        sep="\n",
    )
    models = frame.drop_duplicates("model").set_index("model")
    kept = ("learning_rate", "merge_lambda") if earlier else ("learning_rate",)
    chosen = []
    for candidate in read(validation).candidates:
        row = models.loc[candidate.name]
        if all(_same(row[name], best.loc[row["method"], name]) for name in kept):
            chosen.append(candidate)
    recipe = yaml.safe_load(reported.read_text(encoding="utf-8"))
    if earlier:
        chosen = [found for candidate in chosen if candidate.method in ALONG_TRAINING for found in _earlier(candidate)]
        recipe["name"], recipe["candidates"] = "along", []
        new_tasks = [group for group in recipe["episodes"] if group["split"] == "cross_task"]
        recipe["episodes"] = [group | {"seeds": FEWER_SEEDS} for group in new_tasks]
    recipe["candidates"] += [candidate.model_dump(exclude_defaults=True) for candidate in chosen]
    print(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))


def _earlier(candidate: Candidate) -> list[Candidate]:
    """A run's checkpoints but the last, which is the run; of a merge, those of checkpoints that stand beside it."""
    path = Path(candidate.path)
    merges = sorted(path.parent.glob(f"checkpoint-*-{path.name}"))
    runs = sorted(path.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))[:-1]
    return [
        candidate.model_copy(update={"name": f"{candidate.name}-{folder.name}", "path": str(folder)})
        for folder in merges or runs
    ]


def _same(one: float | None, other: float | None) -> bool:
    return one == other or (one != one and other != other)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--earlier"]
    main(*map(Path, words), earlier="--earlier" in sys.argv)
