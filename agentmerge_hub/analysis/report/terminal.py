"""Table 1 and plans in the terminal."""

from rich.console import Console
from rich.table import Table

from agentmerge_hub.analysis import labels


def show(scored: list[dict]) -> None:
    """Methods down, splits across: mean reward ± the split's standard error, then what is in no mean."""
    splits = list(dict.fromkeys(row["split"] for row in scored))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method", no_wrap=True)
    for split in splits:
        table.add_column(labels.split(split), justify="right", no_wrap=True)
        table.add_column("n", justify="right", no_wrap=True)
    lost = []
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
    for row in scored:
        if counts := ", ".join(f"{row[status]} {status}" for status in ("missing", "crashed") if row[status]):
            lost.append(
                f"{labels.method(row['method'])}, {labels.split(row['split'])}: {counts} of {row['asked']}, in no mean"
            )
    console = Console()
    console.print(table)
    for line in lost:
        console.print(line, style="yellow", highlight=False)


def _cells(row: dict | None) -> tuple[str, str]:
    if row is None:
        return ("–", "0")
    error = f" ± {row['se']:.3f}" if row.get("se") else ""
    return (f"{row['reward']:.3f}{error}" if row["n"] else "–", str(row["n"]))


def show_plan(lines: list[tuple[str, str]]) -> None:
    """A design a line, with its size."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("design")
    table.add_column("takes", justify="right", no_wrap=True)
    for design, size in lines:
        table.add_row(design, size)
    Console().print(table)
