"""Figures of one moment: the scores, the differences, and success by category and task."""

from pathlib import Path

import numpy as np

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.episodes import Candidate
from agentmerge_hub.analysis.plotting import MARKERS, Picture, Theme, draw


def scores(folder: Path, rows: list[dict], names: dict[Candidate, str]) -> Picture | None:
    """Mean reward of each candidate with one standard error, a panel for each split."""
    splits = list(dict.fromkeys(row["split"] for row in rows))
    shown = [row for row in rows if row.get("reward") is not None]
    order = list(names)
    if not shown:
        return None

    def paint(figure, theme: Theme) -> None:
        axes = figure.subplots(1, len(splits), sharex=True, sharey=True, squeeze=False)[0]
        for axis, split in zip(axes, splits):
            for row in (row for row in shown if row["split"] == split):
                place = order.index(_candidate(row))
                colour = _colour(theme, row["method"], order)
                axis.errorbar(
                    row["reward"], place, xerr=row["se"] or 0, fmt="o", color=colour, capsize=3, elinewidth=1.6
                )
            axis.set_title(f"{labels.split(split)}: {labels.SPLIT_MEANINGS.get(split, '')}".rstrip(": "))
            axis.set_yticks(range(len(order)), [names[candidate] for candidate in order])
            axis.set_ylim(len(order) - 0.5, -0.5)
            axis.set_xlabel("mean reward")
            axis.set_xlim(left=min(0, *(row["reward"] - (row["se"] or 0) for row in shown)))
            axis.grid(axis="y", visible=False)

    caption = (
        "Mean reward with one standard error in each direction: over new seeds of the same tasks (inter-task), over new "
        "tasks (cross-task)."
    )
    described = "; ".join(f"{names[_candidate(r)]}, {labels.split(r['split'])}: {r['reward']:.3f}" for r in shown)
    return draw(folder, "scores", caption, described, paint, (9, 1.1 + 0.36 * len(order)))


def differences(folder: Path, rows: list[dict], focus: str) -> Picture | None:
    """What the method in focus gains over each other, with its 95 % interval."""
    shown = [row for row in rows if row.get("difference") is not None]
    if not shown:
        return None

    def name(row: dict) -> str:
        at = f" (lr {labels.rate(row['learning_rate_a'])})" if row["learning_rate_a"] is not None else ""
        setting = f" λ {row['merge_lambda_a']:g}" if len({r["merge_lambda_a"] for r in shown}) > 1 else ""
        agent = f", {row['agent']}" if len({r["agent"] for r in shown}) > 1 else ""
        return f"{labels.split(row['split'])}:{setting} − {labels.method(row['method_b'])}{at}{agent}"

    def paint(figure, theme: Theme) -> None:
        axis = figure.subplots()
        splits = list(dict.fromkeys(row["split"] for row in shown))
        for place, row in enumerate(shown):
            which = splits.index(row["split"])
            colour, marker = theme.series[which % len(theme.series)], MARKERS[which % len(MARKERS)]
            if row["low"] is not None:
                axis.plot([100 * row["low"], 100 * row["high"]], [place, place], color=colour, linewidth=2)
            axis.plot(100 * row["difference"], place, marker, color=colour, markersize=6)
        axis.axvline(0, color=theme.ink, linewidth=0.8)
        axis.set_yticks(range(len(shown)), [name(row) for row in shown])
        axis.set_ylim(len(shown) - 0.5, -0.5)
        axis.set_xlabel(f"{labels.method(focus)} minus the other, in points of reward (0–100)")
        axis.grid(axis="y", visible=False)

    caption = "Paired differences with 95 % intervals; right of zero the method in focus is better."
    described = "; ".join(f"{name(row)}: {100 * row['difference']:+.1f}" for row in shown)
    return draw(folder, "differences", caption, described, paint, (9, 1.1 + 0.34 * len(shown)))


def heat_map(folder: Path, rows: list[dict], names: dict[Candidate, str], by: str) -> Picture | None:
    """Mean reward by category or task (`by`) and candidate; a panel for each split."""
    splits = [split for split in dict.fromkeys(row["split"] for row in rows) if split != "validation"]
    order = [candidate for candidate in names if any(_candidate(row) == candidate for row in rows)]
    cells: dict[tuple, list[tuple[float, int]]] = {}
    for row in rows:
        if row["reward"] is not None:
            cells.setdefault((row["split"], row[by] or "none", _candidate(row)), []).append((row["reward"], row["n"]))
    if not cells or not splits:
        return None
    lines = {split: sorted({key[1] for key in cells if key[0] == split}) for split in splits}
    tallest = max(len(found) for found in lines.values())

    def paint(figure, theme: Theme) -> None:
        import matplotlib

        axes = figure.subplots(1, len(splits), squeeze=False)[0]
        colours = matplotlib.colormaps[theme.colormap].with_extremes(bad=theme.empty)
        for axis, split in zip(axes, splits):
            grid = np.full((len(lines[split]), len(order)), np.nan)
            for i, line in enumerate(lines[split]):
                for j, candidate in enumerate(order):
                    if found := cells.get((split, line, candidate)):
                        grid[i, j] = np.average([mean for mean, _ in found], weights=[n for _, n in found])
            image = axis.imshow(grid, cmap=colours, vmin=0, vmax=1, aspect="auto")
            for (i, j), value in np.ndenumerate(grid):
                if not np.isnan(value):
                    ink = "white" if value < 0.55 else "black"
                    axis.text(
                        j,
                        i,
                        f"{value:.2f}".lstrip("0") if value < 1 else "1",
                        ha="center",
                        va="center",
                        color=ink,
                        fontsize=7,
                    )
            axis.set_yticks(range(len(lines[split])), [_short(line) for line in lines[split]], fontsize=8)
            axis.set_xticks(
                range(len(order)), [names[candidate] for candidate in order], rotation=35, ha="right", fontsize=8
            )
            axis.set_title(labels.split(split))
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, label="mean reward", fraction=0.03)

    caption = f"Mean reward by {by}; an empty cell has no finished episode."
    height = 1.8 + 0.24 * tallest
    return draw(folder, f"by_{by}", caption, f"{caption} The numbers are in by_task.csv.", paint, (9, height))


def _short(task: str) -> str:
    return task.split(".")[-1]


def _candidate(row: dict) -> Candidate:
    return Candidate(*(row[name] for name in Candidate._fields))


def _colour(theme: Theme, method: str, order: list[Candidate]) -> str:
    methods = list(dict.fromkeys(candidate.method for candidate in order))
    return theme.series[methods.index(method) % len(theme.series)]
