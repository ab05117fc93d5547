"""Success against λ, the weight of the agent in the merge, with the λ that the validation tasks chose."""

from pathlib import Path
from typing import Any

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.plotting import INK, MARKERS, SERIES, Picture, draw


def draw_lambda(folder: Path, scored: list[dict], choices: list[dict], focus: str) -> Picture | None:
    """One panel for each split, one line for each learning rate; None below two λ.

    Args:
        scored: every candidate's scores, as in candidates.csv, validation included.
        choices: rows of chosen.csv.
    """
    rows = [
        row
        for row in scored
        if row["method"] == focus and row["merge_lambda"] is not None and row.get("reward") is not None
    ]
    if len({row["merge_lambda"] for row in rows}) < 2:
        return None
    splits = list(dict.fromkeys(row["split"] for row in rows))
    lines = list(dict.fromkeys(_line_of(row) for row in rows))
    shown = {line: _checkpoint([row for row in rows if _line_of(row) == line]) for line in lines}
    picked = {
        _line_of(row): row["merge_lambda"]
        for row in choices
        if row["method"] == focus and row["chosen"] and row["samples_seen"] == shown.get(_line_of(row))
    }

    def paint(figure: Any) -> None:
        axes = figure.subplots(1, len(splits), sharex=True, sharey=True, squeeze=False)[0]
        for axis, split in zip(axes, splits):
            for number, line in enumerate(lines):
                colour, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
                mine = [r for r in rows if (r["split"], _line_of(r), r["samples_seen"]) == (split, line, shown[line])]
                mine.sort(key=lambda row: row["merge_lambda"])
                x, y = [row["merge_lambda"] for row in mine], [row["reward"] for row in mine]
                error = [row["se"] or 0 for row in mine]
                axis.errorbar(
                    x, y, yerr=error, color=colour, marker=marker, capsize=2, elinewidth=0.9, label=_name(line)
                )
                if picked.get(line) in x:
                    best = picked[line]
                    axis.plot(best, y[x.index(best)], "o", markersize=12, markerfacecolor="none", markeredgecolor=INK)
            axis.set_title(f"{labels.split(split)}{' (chooses λ)' if split == 'validation' else ''}")
            axis.set_xlabel("λ (0: instruct, 1: agent)")
        axes[0].set_ylabel("mean reward")
        axes[0].set_ylim(bottom=0)
        if len(lines) > 1:
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(len(lines), 4))

    caption = "Mean reward against λ, with one standard error"
    if any(row["method"] == focus for row in choices):
        caption += "; a ring marks the λ that the validation tasks chose, where they chose this checkpoint."
    else:
        caption += "; no validation tasks chose among them."
    return draw(folder, "lambda", caption, f"{caption} The numbers are in candidates.csv.", paint, (9, 3.2))


def _checkpoint(rows: list[dict]) -> int | None:
    """The checkpoint that was merged at the most λ; of several the last."""
    found = {row["samples_seen"] for row in rows}
    return max(found, key=lambda seen: (len({r["merge_lambda"] for r in rows if r["samples_seen"] == seen}), seen or 0))


def _line_of(row: dict) -> tuple:
    return (row["agent"], row["learning_rate"])


def _name(line: tuple) -> str:
    agent, rate = line
    return ", ".join(part for part in (agent, f"lr {labels.rate(rate)}" if rate is not None else "") if part)
