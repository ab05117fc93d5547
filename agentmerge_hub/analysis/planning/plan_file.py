"""A pre-registered plan: written by `agentmerge plan -o plan.yml`, compared with the results by `analyse --plan plan.yml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from agentmerge_hub.analysis import labels, statistics
from agentmerge_hub.analysis.comparisons import IMPUTATIONS, MIN_RUNS
from agentmerge_hub.analysis.episodes import UNTRAINED
from agentmerge_hub.analysis.planning.design import Study
from agentmerge_hub.analysis.statistics.power import Design
from agentmerge_hub.errors import UserError, schema_problem
from agentmerge_hub.files import atomic_write, strict_yaml


class Look(BaseModel):
    """One analysis of the study: after how many training runs, and the level it may spend."""

    model_config = ConfigDict(extra="forbid")

    runs: int = Field(ge=MIN_RUNS)
    alpha: float = Field(gt=0, lt=1)


class Plan(BaseModel):
    """What is compared, how, and when. The levels of the looks add up to alpha."""

    model_config = ConfigDict(extra="forbid")

    agentmerge_plan: Literal[1] = 1
    method: str = "agentmerge"
    against: str = labels.BASELINE
    split: str = "cross_task"
    difference: float = Field(gt=0, lt=1)
    rate: float = Field(gt=0, lt=1)
    between: float = Field(ge=0)
    run_sd: float = Field(ge=0)
    runs: int = Field(ge=MIN_RUNS)
    tasks: int = Field(ge=2)
    seeds: int = Field(ge=1)
    comparisons: int = Field(ge=1)
    alpha: float = Field(gt=0, lt=1)
    power: float = Field(gt=0, le=1)
    """Simulated power of the last look."""
    looks: list[Look] = Field(min_length=1)

    @model_validator(mode="after")
    def _spends_alpha(self) -> Self:
        runs = [look.runs for look in self.looks]
        if runs != sorted(set(runs)) or runs[-1] != self.runs:
            raise ValueError(
                f"the looks are after {', '.join(map(str, runs))} runs: they must rise to {self.runs}, the runs of the plan"
            )
        if (spent := sum(look.alpha for look in self.looks)) > self.alpha + 2e-6:
            raise ValueError(f"the levels of the looks add up to {spent:g}, more than alpha, {self.alpha:g}")
        return self


def spend(alpha: float, runs: int, looks: tuple[int, ...]) -> list[Look]:
    """Looks after the given numbers of runs, the last one after all; each spends its increment of O'Brien and Fleming's rule.

    The spending function is 2 − 2Φ(z / √t) at the share t of the runs (Lan and DeMets, 1983). A look rejects if its p is
    below its own increment, which keeps the error of all looks together below alpha whatever their dependence.

    Raises:
        UserError: if a look comes before three runs or after the last.
    """
    from scipy.stats import norm

    if wrong := [look for look in looks if not MIN_RUNS <= look <= runs]:
        if runs == MIN_RUNS:
            raise UserError(
                f"--look {wrong[0]}: a study of {runs} training runs has no interim look: remove it, or give more --runs"
            )
        raise UserError(f"--look {wrong[0]}: a look comes after {MIN_RUNS} to {runs} training runs")
    z, spent, found = float(norm.ppf(1 - alpha / 2)), 0.0, []
    for look in sorted({*looks, runs}):
        total = alpha if look == runs else float(2 * norm.sf(z / (look / runs) ** 0.5))
        found.append(Look(runs=look, alpha=round(total - spent, 6) or total - spent))
        spent += found[-1].alpha
    return found


def planned(study: Study, design: Design | None, looks: tuple[int, ...], method: str, against: str) -> Plan:
    """The plan of a study with this design.

    Raises:
        UserError: if the design is not given in full, a look is not possible, or the two are not methods with runs.
    """
    for option, name in (("--method", method), ("--against", against)):
        if labels.canonical(name) in UNTRAINED:
            raise UserError(
                f"{option} {name} is one given model without training runs: plan a comparison of two trained methods"
            )
    if labels.canonical(method) == labels.canonical(against):
        raise UserError(f"--method and --against are both {method}: name two methods")
    if design is None:
        raise UserError("a plan file needs --runs, --tasks and --seeds: give all three with -o")
    levels = spend(study.alpha, design.runs, looks)
    return Plan(
        method=method,
        against=against,
        split=study.split,
        difference=study.difference,
        rate=study.rate,
        between=study.between,
        run_sd=study.run_sd,
        runs=design.runs,
        tasks=design.tasks,
        seeds=design.seeds,
        comparisons=study.comparisons,
        alpha=study.alpha,
        power=study.power_of(design, alpha=levels[-1].alpha),
        looks=levels,
    )


def write(path: Path, plan: Plan) -> None:
    """Write the plan; an existing file is not replaced.

    Raises:
        UserError: if the file exists, or its folder does not.
    """
    if not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: the folder {path.parent} does not exist")
    if path.exists():
        raise UserError(f"{path} exists, and a plan is not changed after it was written: choose another name")
    atomic_write.write_text(path, yaml.safe_dump(plan.model_dump(), sort_keys=False))


def read(path: Path) -> Plan:
    """The plan in a file.

    Raises:
        UserError: if the file is not a plan.
    """
    try:
        return Plan.model_validate(strict_yaml.load(path.read_text(encoding="utf-8"), str(path)))
    except OSError as error:
        raise UserError(f"the plan {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the plan {path} cannot be read: it is no text in UTF-8") from error
    except ValidationError as error:
        problem = schema_problem(error, "the file", Plan)
        raise UserError(f"{path} is not a plan of `agentmerge plan -o`: {problem}") from error


@dataclass(frozen=True)
class Outcome:
    """Whether the results are those that the plan describes, and the decision it defines."""

    kept: bool
    sentence: str


def compare(plan: Plan, comparisons: list[dict[str, Any]]) -> Outcome:
    """The plan against the report's comparisons (rows of comparisons.csv).

    Where the plan was kept, the ``verdict`` of its comparison becomes the decision at the level of this look: p below 0.05 at
    an interim look is no verdict.
    """
    method, against = labels.canonical(plan.method), labels.canonical(plan.against)
    name = f"{labels.method(method)} against {labels.method(against)}, {labels.split(plan.split)}"
    rows = [
        row
        for row in comparisons
        if (row["method_a"], row["method_b"], row["split"]) == (method, against, plan.split) and row["pairs"]
    ]
    if len(rows) != 1:
        found = "no such comparison" if not rows else f"{len(rows)} such comparisons"
        return Outcome(False, f"the plan was not kept: it names {name}, and these results hold {found}.")
    (row,) = rows
    look = next((look for look in plan.looks if look.runs == row["runs_a"] == row["runs_b"]), None)
    wrong = []
    if look is None:
        looks = " or ".join(str(look.runs) for look in plan.looks)
        wrong.append(f"{row['runs_a']} and {row['runs_b']} training runs instead of {looks} each")
    if row["tasks"] != plan.tasks:
        wrong.append(f"{row['tasks']} tasks instead of {plan.tasks}")
    if row["pairs"] != plan.tasks * plan.seeds:
        wrong.append(f"{row['pairs']} (task, seed) instead of {plan.tasks * plan.seeds}")
    tested = [other for other in comparisons if other["pairs"]]
    if len(tested) > plan.comparisons:
        wrong.append(f"{len(tested)} comparisons instead of {plan.comparisons}")
    if not row["about_methods"]:
        wrong.append("training runs that are not independent")
    if row.get("chosen_here"):
        wrong.append(f"λ or checkpoint was chosen on {labels.split(plan.split)} episodes")
    if look is None or wrong:
        return Outcome(False, f"the plan was not kept ({'; '.join(wrong)}), so it defines no decision.")
    absent = [1.0] * (plan.comparisons - len(tested))  # planned comparisons keep their share of the level
    adjusted = statistics.holm([other["p"] for other in tested] + absent)
    p, level = adjusted[tested.index(row)], look.alpha
    extremes = [name for name in IMPUTATIONS if row.get(f"p_{name}") is not None]
    signs = {row["difference"] > 0, *(row[f"difference_{name}"] > 0 for name in extremes)}
    which = f"look {plan.looks.index(look) + 1} of {len(plan.looks)}, after {look.runs} runs, level {level:.4g}"
    filled = [plan.comparisons * row[f"p_{name}"] for name in extremes]
    if max([p, *filled]) < level and len(signs) == 1:
        row["verdict"] = "better" if row["difference"] > 0 else "worse"
        decision = f"{labels.method(method)} is {row['verdict']}"
    else:
        row |= {"verdict": "not settled", "plan_level": level}
        decision = "go on to the next look" if look.runs < plan.runs else "the difference is not settled"
    shown = f"p = {p:.4f}" if p >= 0.0001 else "p < 0.0001"
    return Outcome(True, f"the plan was kept ({name}; {which}). Its decision: {decision} ({shown}).")
