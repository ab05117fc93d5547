"""Mean reward by category or by task, method by method."""

import re
from pathlib import Path

import numpy as np

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import Candidate, candidate_in, short_labels
from agentmerge_hub.analysis.figures.plotting import EMPTY, Picture, draw, is_narrow

MOST = 400
"""With more tasks than this there is no figure by task: nobody reads it, and drawing it takes minutes."""
WIDE = 6
"""With more columns than this the panels of the splits are in one column."""


def for_each_agent(folder: Path, rows: list[dict]) -> list[Picture]:
    """By category and, with up to MOST tasks, by task for each agent; rows as in by_task.csv."""
    agents = list(dict.fromkeys(row["agent"] for row in rows))
    pictures = []
    for by in ("category", "task"):
        for number, agent in enumerate(agents, 1):
            mine = [row for row in rows if row["agent"] == agent]
            names = short_labels(dict.fromkeys(candidate_in(row) for row in mine))
            name = f"by_{by}_{number}" if len(agents) > 1 else f"by_{by}"
            note = f" The {agent} agent." if len(agents) > 1 else ""
            lines = {row[by] for row in mine}
            if len(lines) <= MOST and (by == "task" or len(lines) > 1):
                pictures.append(draw_by(folder, name, mine, names, by, note))
    return [picture for picture in pictures if picture is not None]


def draw_by(
    folder: Path, name: str, rows: list[dict], names: dict[Candidate, str], by: str, note: str
) -> Picture | None:
    """Mean reward by category or task (`by`) and candidate; a panel for each split."""
    splits = [split for split in dict.fromkeys(row["split"] for row in rows) if split != "validation"]
    order = list(names)
    cells: dict[tuple, list[tuple[float, int]]] = {}
    for row in rows:
        if row["reward"] is not None:
            cells.setdefault((row["split"], row[by] or "none", candidate_in(row)), []).append((row["reward"], row["n"]))
    if not cells or not splits:
        return None
    means = [mean for values in cells.values() for mean, _ in values]
    low, high = min(0.0, *means), max(1.0, *means)
    lines = {split: sorted({key[1] for key in cells if key[0] == split}, key=_natural) for split in splits}
    heights = [len(lines[split]) for split in splits]
    below = len(order) > WIDE

    def paint(figure) -> None:
        if below or is_narrow(figure):
            axes = figure.subplots(len(splits), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        else:
            axes = figure.subplots(1, len(splits), squeeze=False)[0]
        for axis, split in zip(axes, splits):
            grid = np.full((len(lines[split]), len(order)), np.nan)
            for i, line in enumerate(lines[split]):
                for j, candidate in enumerate(order):
                    if found := cells.get((split, line, candidate)):
                        grid[i, j] = np.average([mean for mean, _ in found], weights=[n for _, n in found])
            axis.set_facecolor(EMPTY)
            image = axis.pcolormesh(np.ma.masked_invalid(grid), cmap="cividis", vmin=low, vmax=high)
            axis.invert_yaxis()
            for (i, j), value in np.ndenumerate(grid):
                if not np.isnan(value) and not (is_narrow(figure) and len(order) > WIDE):
                    ink = "white" if (value - low) / (high - low) < 0.55 else "black"
                    text = f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 and value else f"{value:.3g}"
                    axis.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=ink, fontsize=7)
            axis.set_yticks(np.arange(len(lines[split])) + 0.5, [_short(line) for line in lines[split]], fontsize=8)
            axis.set_xticks(
                np.arange(len(order)) + 0.5,
                [names[candidate] for candidate in order],
                rotation=35,
                ha="right",
                fontsize=8,
            )
            axis.set_title(labels.split(split))
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
        if is_narrow(figure):
            figure.colorbar(image, ax=list(axes), label="mean reward", location="bottom", shrink=0.8)
        else:
            figure.colorbar(image, ax=list(axes), label="mean reward", fraction=0.03, aspect=max(6, 2 * max(heights)))

    caption = f"Mean reward by {by}; an empty cell has no finished episode.{note}"
    height = 1.8 + 0.24 * (sum(heights) if below else max(heights))
    return draw(
        folder,
        name,
        caption,
        f"{caption} The numbers are in by_task.csv.",
        paint,
        (9, height),
        2.6 + 0.2 * sum(heights) + 0.5 * len(splits),
    )


def _short(task: str) -> str:
    return task.split(".")[-1]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts `task-2` before `task-10`."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
