"""`agentmerge analyse`: results in, a report out; `agentmerge plan`: how many runs, tasks and seeds a comparison needs."""

import math
from pathlib import Path
from typing import Any

import click

from agentmerge_hub.errors import UserError, require


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", default="report", show_default=True, type=click.Path(path_type=Path), help="Folder to write."
)
@click.option("--method", default="agentmerge", show_default=True, help="The method to compare with all others.")
@click.option("--benchmark", help="The benchmark to keep, where the results hold several.")
@click.option(
    "--validation-task", "validation_tasks", multiple=True, metavar="TASK",
    help="Set a task aside to choose λ and checkpoint on; repeat for more.",
)  # fmt: skip
@click.option(
    "--choose-on",
    default="validation",
    show_default=True,
    metavar="SPLIT",
    help="The split that chooses λ and checkpoint; with inter_task only cross_task stays unbiased.",
)
@click.option(
    "--likelihood",
    multiple=True,
    metavar="MODEL=FILE",
    help="Output of `agentmerge likelihood` for a model in the results, or a report's likelihood.csv; repeat for more.",
)
@click.option(
    "--lm-eval",
    multiple=True,
    metavar="NAME=PATH",
    help="Scores of lm-evaluation-harness; name the model before fine-tuning first, repeat for more.",
)
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path), metavar="FILE",
    help="A plan of `agentmerge plan -o`: report whether it was kept, and the decision it defines.",
)  # fmt: skip
@click.option(
    "--eee", "organization", metavar="ORGANIZATION",
    help="Write the results as records of Every Eval Ever too, published by this organization.",
)  # fmt: skip
@click.option("--traces", default=300, show_default=True, type=click.IntRange(0), help="Episodes to write pages for.")
@click.option(
    "--draws", default=2_000, show_default=True, type=click.IntRange(100),
    help="Simulated studies behind each smallest difference.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the simulations.")
def analyse(results: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Compare the methods scored in RESULTS (folders of `evaluate`) and write a report.

    The report is one HTML page with the figures inside; every figure and table is also a file in its folder.
    """
    require("analysis", "scipy", "matplotlib")
    from agentmerge_hub.analysis.report import terminal, writer

    written = writer.write(list(results), out, writer.Options(**options))
    terminal.show(written.table1, written.answer, written.plan)
    click.echo(str(out / "report.html"))


@click.command()
@click.option("--rate", default=0.136, show_default=True, help="Success rate of the one method.")
@click.option("--difference", default=0.042, show_default=True, help="Difference to find, as a fraction.")
@click.option(
    "--between", default=0.1, show_default=True, help="Standard deviation between tasks of the true difference."
)
@click.option("--run-sd", default=0.25, show_default=True, help="Standard deviation between training runs, in logits.")
@click.option("--runs", type=int, help="Training runs of each method, 3 or more; searched where absent.")
@click.option("--tasks", type=int, help="Tasks, 2 or more; searched where absent.")
@click.option("--seeds", type=int, help="Seeds of each task, 1 or more; searched where absent.")
@click.option("--power", default=0.8, show_default=True, help="Probability of finding the difference.")
@click.option("--alpha", default=0.05, show_default=True, help="Level of the two-sided test.")
@click.option("--comparisons", default=1, show_default=True, help="Comparisons in the report, for Holm's correction.")
@click.option(
    "--split", default="cross_task", show_default=True, type=click.Choice(["cross_task", "inter_task"]),
    help="The claim: new tasks, or the same tasks with new seeds.",
)  # fmt: skip
@click.option(
    "--training-cost", default=100.0, show_default=True, help="Cost of one training, in episodes, for the search."
)
@click.option(
    "--independent", "paired", flag_value=False, default=True,
    help="The two methods share no training seeds, so that the report cannot pair them.",
)  # fmt: skip
@click.option("--method", default="agentmerge", show_default=True, help="The method, for the plan file.")
@click.option(
    "--against", default="instruct_finetuned", show_default=True, help="What it is compared with, for the plan file."
)
@click.option(
    "--look", "looks", type=int, multiple=True, metavar="RUNS",
    help="Interim look after this many training runs, for the plan file; repeat for more.",
)  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Plan file to write, for `analyse --plan`.")
def plan(
    runs: int | None, tasks: int | None, seeds: int | None, training_cost: float, out: Path | None, **options: Any
) -> None:
    """Simulate how often a study finds a difference between two methods, and search the cheapest design that does.

    The simulation runs the test of the report itself. The defaults are the difference in the paper's Table 1 at learning rate
    5e-6.
    """
    require("analysis", "scipy")
    from agentmerge_hub.analysis.planning import design, plan_file
    from agentmerge_hub.analysis.report import terminal
    from agentmerge_hub.analysis.statistics.power import Design

    for option, value in {**options, "training_cost": training_cost}.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"--{option.replace('_', '-')} is {value}: give a finite number")
    if training_cost < 0:
        raise UserError(f"--training-cost is {training_cost:g}: give the episodes that a training costs, 0 or more")
    names = {key: options.pop(key) for key in ("method", "against")}
    looks = options.pop("looks")
    study = design.Study(**options)
    study.check()
    design.check_sizes(runs, tasks, seeds)
    given = None if runs is None or tasks is None or seeds is None else Design(runs, tasks, seeds)
    if given:
        click.echo(terminal.power_line(study, given))
    if out is not None:
        plan_file.write(out, plan_file.planned(study, given, looks, **names))
        click.echo(str(out))
        return
    click.echo("Searching the cheapest design …", err=True)
    fixed = (None, None, None) if given else (runs, tasks, seeds)
    grids = [grid if number is None else (number,) for number, grid in zip(fixed, design.GRIDS)]
    click.echo(terminal.search_line(study, design.cheapest(study, training_cost, *grids), training_cost, grids))
