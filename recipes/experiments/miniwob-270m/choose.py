"""Print the setting with the highest mean reward over validation episodes.

    python choose.py validation/results.parquet learning_rate > rate
    python choose.py validation/results.parquet merge_lambda > lambda

An episode that crashed counts 0. At a tie the lower learning rate, and λ nearer ½.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq

from agentmerge_hub.errors import UserError


def main(results: Path, setting: str) -> None:
    frame = pq.read_table(results).to_pandas()
    if missing := int((frame["status"] == "missing").sum()):
        raise UserError(f"{results} lacks {missing} episodes: run the validation to its end first")
    frame["reward"] = frame["reward"].where(frame["status"] == "done", 0.0).fillna(0.0)
    scores = frame.groupby(setting)["reward"].mean()
    print(
        *(f"{setting} {value:g}: mean reward {score:.3f}" for value, score in scores.items()), sep="\n", file=sys.stderr
    )
    best = scores.index[scores == scores.max()]
    print(f"{min(best, key=lambda value: abs(value - 0.5) if setting == 'merge_lambda' else value):.5f}".rstrip("0"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
