"""Exit with 1, and a sentence, where the instruct model does not pass the gate: nothing may be compared then.

python gate.py gate/results.parquet
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq

from agentmerge_hub.errors import UserError

NEEDED = {"inter_task": 0.60, "cross_task": 0.15}
"""Share of episodes that are solved: new seeds of its own tasks, and tasks that no data has."""


def main(results: Path) -> None:
    rows = pq.read_table(results, columns=["split", "status", "reward"]).to_pylist()
    if missing := sum(row["status"] == "missing" for row in rows):
        raise UserError(f"{results} lacks {missing} episodes: run the gate to its end first")
    passed = True
    for split, needed in NEEDED.items():
        solved = [row["status"] == "done" and row["reward"] > 0 for row in rows if row["split"] == split]
        share = sum(solved) / len(solved)
        passed &= share >= needed
        print(f"{split}: {sum(solved)} of {len(solved)} episodes, {share:.1%}; needed {needed:.0%}")
    if not passed:
        raise SystemExit("the gate is not passed: train the instruct model further before anything is compared")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
