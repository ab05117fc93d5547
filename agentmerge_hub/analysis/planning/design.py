"""How many training runs, tasks and seeds a comparison of two methods needs, by simulation of the report's own test."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from rich.console import Console
from rich.progress import track

from agentmerge_hub.analysis.comparisons import MIN_RUNS
from agentmerge_hub.analysis.statistics.power import Design, Truth, simulated_power
from agentmerge_hub.errors import UserError

RUNS = (3, 4, 5, 6, 8, 10, 15)
TASKS = (6, 8, 10, 13, 16, 20, 25, 33, 40, 50, 63, 80, 100, 125, 200, 330)
SEEDS = (1, 2, 3, 5, 10)
GRIDS = (RUNS, TASKS, SEEDS)
"""Runs, tasks and seeds that the search for the cheapest design tries."""
SEARCH_DRAWS, DRAWS = 300, 2_000


@dataclass(frozen=True)
class Study:
    """What a comparison is planned for. Rewards are fractions."""

    rate: float = 0.136
    difference: float = 0.042
    between: float = 0.1
    run_sd: float = 0.25
    power: float = 0.8
    alpha: float = 0.05
    comparisons: int = 1
    split: str = "cross_task"
    paired: bool = True
    """Whether both methods are trained with the same seeds, by which the report pairs their runs."""

    def check(self) -> None:
        """Raises UserError if no study can have these numbers."""
        for name, value in (("--rate", self.rate), ("--power", self.power), ("--alpha", self.alpha)):
            if not 0 < value < 1:
                raise UserError(f"{name} is {value:g}: give a number between 0 and 1")
        if not self.difference > 0 or self.rate + self.difference >= 1:
            raise UserError(
                f"--difference is {self.difference:g}: with a rate of {self.rate:g} it must be between 0 and {1 - self.rate:g}"
            )
        if self.between < 0 or self.run_sd < 0 or self.comparisons < 1:
            raise UserError("--between and --run-sd must be at least 0 and --comparisons at least 1")
        mean = self.rate + self.difference
        if self.between > (largest := (mean * (1 - mean)) ** 0.5):
            raise UserError(
                f"--between is {self.between:g}: success rates between 0 and 1 with a mean of {mean:g} have a standard deviation of at "
                f"most {largest:.3f}"
            )

    def power_of(self, design: Design, draws: int = DRAWS, alpha: float | None = None) -> float:
        """Probability that a study of this design finds the difference.

        With several comparisons the level is that of the first step of Holm's correction.
        """
        return simulated_power(
            design,
            Truth(self.rate, self.difference, self.between, self.run_sd),
            new_tasks=self.split == "cross_task",
            paired=self.paired,
            alpha=(self.alpha if alpha is None else alpha) / self.comparisons,
            draws=draws,
        )


def check_sizes(runs: int | None, tasks: int | None, seeds: int | None) -> None:
    """Raises UserError for a number of runs, tasks or seeds that the report gives no verdict on; None is any."""
    if runs is not None and runs < MIN_RUNS:
        raise UserError(
            f"--runs is {runs}: a verdict on methods takes at least {MIN_RUNS} training runs of each, "
            "because two runs do not show how much runs differ"
        )
    for option, number, least in (("--tasks", tasks, 2), ("--seeds", seeds, 1)):
        if number is not None and number < least:
            raise UserError(f"{option} is {number}: give {least} or more")


def cost(design: Design, training_cost: float) -> float:
    """Episodes of one method, with each training run counted as `training_cost` episodes."""
    return design.runs * (design.tasks * design.seeds + training_cost)


def cheapest(
    study: Study,
    training_cost: float,
    runs: Iterable[int] = RUNS,
    tasks: Iterable[int] = TASKS,
    seeds: Iterable[int] = SEEDS,
) -> Design | None:
    """The cheapest design that reaches the power; None if none of those searched does.

    Designs are tried from the cheapest on; one that has no more of anything than a design that failed is not tried.
    """
    designs = [Design(*numbers) for numbers in product(runs, tasks, seeds)]
    failed: list[Design] = []
    in_order = sorted(designs, key=lambda design: cost(design, training_cost))
    for design in track(in_order, "Designs", transient=True, console=Console(stderr=True)):
        if any(design.runs <= f.runs and design.tasks <= f.tasks and design.seeds <= f.seeds for f in failed):
            continue
        if study.power_of(design, SEARCH_DRAWS) >= study.power - 0.03 and study.power_of(design) >= study.power:
            return design
        failed.append(design)
    return None
