"""Write into a recipe the candidates that validation chose: for each method one learning rate and one λ, every seed of it.

    python chosen.py validation/results.parquet validation.yaml reported.yaml > OUT

The choice is the highest mean reward over the validation episodes of all seeds; at a tie the smaller learning rate, then λ
nearer ½. Candidates without a learning rate, such as the instruct model, are not chosen among.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from agentmerge_hub.agents.recipe import read
from agentmerge_hub.errors import UserError


def main(results: Path, validation: Path, reported: Path) -> None:
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
    recipe = yaml.safe_load(reported.read_text(encoding="utf-8"))
    for candidate in read(validation).candidates:
        row = models.loc[candidate.name]
        same = [_same(row[name], best.loc[row["method"], name]) for name in ("learning_rate", "merge_lambda")]
        if all(same):
            recipe["candidates"].append(candidate.model_dump(exclude_defaults=True))
    print(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))


def _same(one: float | None, other: float | None) -> bool:
    return one == other or (one != one and other != other)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
