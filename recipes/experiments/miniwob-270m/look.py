"""Print whether the study goes on after its interim look, or stops, and why.

    python look.py report/look-1/comparisons.csv plan.yml

It stops for a difference at the level that the plan gives this look, and for futility where the upper limit of the 95 % interval is
below FUTILE.
"""

import csv
import sys
from pathlib import Path

from agentmerge_hub.analysis.planning import plan_file
from agentmerge_hub.errors import UserError

FUTILE = 0.03


def main(comparisons: Path, plan: plan_file.Plan) -> None:
    with comparisons.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == plan.split]
    if len(rows) != 1 or not rows[0]["p"] or not rows[0]["high"]:
        raise UserError(
            f"{comparisons} has no interval of one comparison on {plan.split}: evaluate the primary contrast first"
        )
    p, high, level = float(rows[0]["p"]), float(rows[0]["high"]), plan.looks[0].alpha
    if p < level:
        print(f"stop: p = {p:.4f} is below this look's level {level:.4f}")
    elif high < FUTILE:
        print(f"stop for futility: the upper limit is {100 * high:+.1f} points, below {100 * FUTILE:+.0f}")
    else:
        print(f"go on: p = {p:.4f}, upper limit {100 * high:+.1f} points")


if __name__ == "__main__":
    main(Path(sys.argv[1]), plan_file.read(Path(sys.argv[2])))
