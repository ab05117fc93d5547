"""The answer and Table 1, and the power of a planned study, in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.planning.design import Study, cost
from agentmerge_hub.analysis.statistics.power import Design
from agentmerge_hub.plural import counted


def show(scored: list[dict], answer: str, plan: str = "") -> None:
    """Methods down, splits across: mean reward ± the split's standard error; then lost episodes, the answer, and what became of the plan."""
    splits = list(dict.fromkeys(row["split"] for row in scored))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method", overflow="fold")
    for split in splits:
        table.add_column(labels.split(split), justify="right", no_wrap=True, min_width=13)
        table.add_column("n", justify="right", no_wrap=True, min_width=4)
    lines: dict[tuple, dict[str, dict]] = {}
    for row in scored:
        key = (row["method"], row["learning_rate"], row["merge_lambda"], row["samples_seen"], row["agent"])
        lines.setdefault(key, {})[row["split"]] = row
    agents = {row["agent"] for row in scored}
    for (method, rate, weight, _, agent), found in lines.items():
        name = labels.method(method)
        name += f", lr {labels.rate(rate)}" if rate is not None else ""
        name += f", λ {weight:g}" if weight is not None else ""
        name += f", {agent}" if len(agents) > 1 else ""
        table.add_row(name, *(cell for split in splits for cell in _cells(found.get(split))))
    console = Console()
    console.print(table)
    for row in scored:
        if counts := ", ".join(f"{row[status]} {status}" for status in ("missing", "crashed") if row[status]):
            who = [
                labels.method(row["method"]),
                *([row["agent"]] if len(agents) > 1 else []),
                labels.split(row["split"]),
            ]
            where = ", ".join(who)
            console.print(f"{where}: {counts} of {row['planned']}, in no mean", style="yellow", highlight=False)
    console.print(answer, highlight=False)
    if plan:
        console.print(f"By the pre-registered plan: {plan}", highlight=False)


def _cells(row: dict | None) -> tuple[str, str]:
    if row is None:
        return ("–", "0")
    error = f" ± {row['se']:.3f}" if row.get("se") else ""
    return (f"{row['reward']:.3f}{error}" if row["n"] else "–", str(row["n"]))


def power_line(study: Study, design: Design) -> str:
    """The simulated power of a design."""
    return f"power {study.power_of(design):.2f} to find {_difference(study)} with {_design(design)} of each method"


def search_line(study: Study, found: Design | None, training_cost: float, grids: Sequence[Sequence[int]]) -> str:
    """The cheapest design that reaches the power.

    Args:
        grids: runs, tasks and seeds that were tried.
    """
    if found is None:
        tried = [
            f"{'up to ' if len(grid) > 1 else ''}{counted(grid[-1], name)}"
            for grid, name in zip(grids, ("run", "task", "seed"))
        ]
        return f"no design of {tried[0]}, {tried[1]} and {tried[2]} has power {study.power:g} for {_difference(study)}"
    episodes = found.runs * found.tasks * found.seeds
    return (
        f"cheapest design with power {study.power:g} for {_difference(study)}: {_design(found)} of each method "
        f"({episodes:,} episodes; {cost(found, training_cost):,.0f} with a training run counted as {training_cost:g} episodes)"
    )


def _difference(study: Study) -> str:
    """E.g. ``15 points (new tasks, p < .05, Holm over 3 comparisons)``."""
    claim = "new tasks" if study.split == "cross_task" else "the same tasks"
    holm = f", Holm over {study.comparisons} comparisons" if study.comparisons > 1 else ""
    return f"{100 * study.difference:g} points ({claim}, p < {study.alpha:g}{holm})"


def _design(design: Design) -> str:
    return f"{design.runs} runs × {design.tasks} tasks × {counted(design.seeds, 'seed')}"
