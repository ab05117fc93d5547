"""Power that `agentmerge plan` computes against the share of verdicts that the report gives on such studies.

The studies are drawn here, episode by episode, without any code of the plan; each is compared and judged as the report does.
Prints a row for each design: power by plan, share of right verdicts with its standard error, and, with --smallest, the share
of right verdicts where the true difference is the median of what such reports name as "would usually show" (goal: 80 %).

    python benchmarks/planned_power.py [STUDIES] [--smallest N]
"""

import argparse
import math
import random
import statistics
from dataclasses import replace
from functools import cache

from agentmerge_hub.analysis.comparison_table import judge
from agentmerge_hub.analysis.comparisons import compare
from agentmerge_hub.analysis.planning.design import Study
from agentmerge_hub.analysis.statistics.power import Design

CASES = [
    (Study(0.3, 0.15, 0.1, 0.0), Design(5, 20, 3)),
    (Study(0.3, 0.15, 0.1, 0.5), Design(5, 20, 3)),
    (Study(0.136, 0.1, 0.05, 0.25), Design(3, 33, 2)),
    (Study(0.5, 0.2, 0.2, 0.25), Design(3, 13, 3)),
    (Study(0.2, 0.2, 0.1, 0.8), Design(8, 13, 2)),
    (Study(0.3, 0.15, 0.1, 0.25, paired=False), Design(5, 20, 3)),
    (Study(0.3, 0.1, 0.1, 0.25, split="inter_task"), Design(4, 13, 4)),
    (Study(0.3, 0.2, 0.1, 0.5, split="inter_task", paired=False), Design(3, 10, 3)),
    (Study(0.3, 0.15, 0.1, 0.25, comparisons=4), Design(5, 20, 3)),
]
"""Planned studies: success rate, difference, its SD between tasks, and the SD of runs in logits; runs, tasks and seeds."""


@cache
def center(rate: float, run_sd: float) -> float:
    """The logit at which runs that vary by `run_sd` logits have the mean success `rate`, by bisection."""
    low, high = -20.0, 20.0
    grid = [statistics.NormalDist().inv_cdf((i + 0.5) / 400) for i in range(400)]
    for _ in range(50):
        middle = (low + high) / 2
        mean = statistics.fmean(1 / (1 + math.exp(-middle - run_sd * z)) for z in grid)
        low, high = (middle, high) if mean < rate else (low, middle)
    return low


def verdict(rng: random.Random, study: Study, design: Design, draws: int = 100) -> dict:
    """One study, judged among `comparisons` of which the others are of equal methods with a p of their own."""
    effects = [rng.choice((-1, 1)) * study.between for _ in range(design.tasks)]
    sides = []
    for method, gain in (("agentmerge", study.difference), ("instruct_finetuned", 0.0)):
        rows = []
        centers = {e: center(study.rate + gain + (e if gain else 0.0), study.run_sd) for e in set(effects)}
        for run in range(design.runs):
            luck = rng.gauss(0, study.run_sd)
            run_seed = run if study.paired or method == "agentmerge" else run + 100
            for task, effect in enumerate(effects):
                chance = 1 / (1 + math.exp(-centers[effect] - luck))
                for seed in range(design.seeds):
                    row = {"task": f"t{task}", "seed": seed, "method": method, "run_seed": run_seed, "status": "done"}
                    rows.append(row | {"reward": float(rng.random() < chance)})
        sides.append(rows)
    row = compare(*sides, study.split, draws=draws, tests=study.comparisons)
    others = [
        {"p": rng.random(), "difference": 0.1, "pairs": 1, "about_methods": True} for _ in range(study.comparisons - 1)
    ]
    return judge([row, *others])[0]


def share(study: Study, design: Design, studies: int) -> tuple[float, float]:
    """Share of studies whose verdict is right, and its standard error."""
    rng = random.Random(f"{study} {design}")
    found = sum(verdict(rng, study, design)["verdict"] == "better" for _ in range(studies)) / studies
    return found, math.sqrt(found * (1 - found) / studies)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("studies", nargs="?", type=int, default=600)
    parser.add_argument(
        "--smallest", type=int, default=0, metavar="N", help="reports whose smallest difference is taken"
    )
    args = parser.parse_args()
    print("rate  diff.  between  run SD  claim       runs   comparisons  runs × tasks × seeds    plan  verdicts")
    for study, design in CASES:
        found, error = share(study, design, args.studies)
        how = "paired" if study.paired else "apart "
        line = f"{study.rate:5.3f} {study.difference:5.2f} {study.between:6.2f} {study.run_sd:8.2f}   {study.split:<11} {how}"
        line += (
            f" {study.comparisons:8} {design.runs:12} × {design.tasks} × {design.seeds} {study.power_of(design):15.2f}"
        )
        line += f"  {found:.2f} ± {error:.2f}"
        if args.smallest:
            rng = random.Random(0)
            named = [verdict(rng, study, design, 500)["smallest_difference"] for _ in range(args.smallest)]
            usual = statistics.median(named)
            right, error = share(replace(study, difference=usual), design, args.studies)
            line += f"  would show {100 * usual:.0f} points: {right:.2f} ± {error:.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
