"""`agentmerge analyse`: results in, a report out; `agentmerge plan`: how many episodes a claim takes."""

from pathlib import Path
from typing import Any

import click

from agentmerge_hub.errors import require


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
    help="The split that chooses λ and checkpoint; with inter_task only cross_task stays untouched.",
)
@click.option(
    "--likelihood",
    multiple=True,
    metavar="MODEL=FILE",
    help="What `agentmerge likelihood` wrote of a model in the results, to draw beside success; repeat for more.",
)
@click.option(
    "--lm-eval",
    multiple=True,
    metavar="NAME=PATH",
    help="Scores of lm-evaluation-harness; name the model before fine-tuning first, repeat for more.",
)
@click.option(
    "--traces", default=300, show_default=True, type=click.IntRange(0), help="Episodes to write readable pages for."
)
@click.option("--draws", default=10_000, show_default=True, type=click.IntRange(100), help="Bootstrap draws.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of bootstrap and permutations."
)
def analyse(results: tuple[Path, ...], out: Path, **options: Any) -> None:
    """Compare the methods scored in RESULTS (folders of `evaluate`) and write a report.

    The report is one HTML page with the figures inside; every figure and table is also a file beside it.
    """
    require("analysis", "scipy", "matplotlib")
    from agentmerge_hub.analysis.report import terminal, writer

    scored = writer.write(list(results), out, writer.Options(**options))
    terminal.show(scored)
    click.echo(str(out / "report.html"))


@click.command()
@click.option("--rate", default=0.136, show_default=True, help="Success rate of the one method.")
@click.option("--difference", default=0.042, show_default=True, help="Difference to settle, as a fraction.")
@click.option("--power", default=0.8, show_default=True, help="Chance of finding it.")
@click.option("--alpha", default=0.05, show_default=True, help="Level of the two-sided test.")
@click.option("--seeds", default=10, show_default=True, help="Seeds a task, for claims about new tasks.")
@click.option(
    "--between", default=0.1, show_default=True,
    help="Standard deviation between tasks of the true difference, for claims about new tasks.",
)  # fmt: skip
def plan(**options: Any) -> None:
    """Say how many episodes settle a difference between two methods.

    The defaults are the difference in the paper's Table 1 at learning rate 5e-6.
    """
    require("analysis", "scipy")
    from agentmerge_hub.analysis.planning import sample_size
    from agentmerge_hub.analysis.report import terminal

    terminal.show_plan(sample_size.answers(**options))
