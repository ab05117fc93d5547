"""`agentmerge analyse`: results in, a report out."""

from pathlib import Path

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
    "--likelihood",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="Log-probabilities of expert answers, by sample, to draw beside success; repeat for more.",
)
@click.option(
    "--lm-eval",
    multiple=True,
    metavar="NAME=PATH",
    help="Scores of lm-evaluation-harness; name the model before fine-tuning first, repeat for more.",
)
@click.option("--traces", default=300, show_default=True, help="Episodes to write readable pages for.")
@click.option("--draws", default=10_000, show_default=True, help="Bootstrap draws.")
@click.option("--seed", default=0, show_default=True, help="Seed of bootstrap and permutations.")
def analyse(results: tuple[Path, ...], out: Path, **options: object) -> None:
    """Compare the methods scored in RESULTS (folders of `evaluate`) and write a report.

    The report is one HTML page with the figures inside; every figure and table is also a file beside it.
    """
    require("analysis", "scipy", "matplotlib")
    from agentmerge_hub.analysis import report, terminal

    scored = report.write(list(results), out, report.Options(**options))
    terminal.show(scored)
    click.echo(str(out / "report.html"))
