"""Error analysis along checkpoints: how often a model thinks, copies the example, or uses an element that is not on the page."""

from pathlib import Path
from typing import Any

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import curve_name
from agentmerge_hub.analysis.error_analysis import MEASURES
from agentmerge_hub.analysis.figures.plotting import DASHES, MARKERS, SERIES, Picture, draw, error_of, is_narrow, panels

SHOWN = ("think", "copied", "copied_first", "invalid_bid")
SPLIT = "cross_task"


def along_training(folder: Path, rows: list[dict], methods: tuple[str, ...]) -> list[Picture]:
    """A figure for each of the methods and agents with two checkpoints or more on the cross-task episodes.

    Args:
        rows: as in behaviour.csv, each method at one λ.
    """
    pictures: list[Picture] = []
    for method in dict.fromkeys(methods):
        for agent in dict.fromkeys(row["agent"] for row in rows):
            mine = [row for row in rows if (row["method"], row["agent"], row["split"]) == (method, agent, SPLIT)]
            mine = [row for row in mine if row["samples_seen"] is not None]
            if len({row["samples_seen"] for row in mine}) > 1:
                pictures.append(_draw(folder, f"behaviour_{len(pictures) + 1}", method, mine))
    return pictures


def _draw(folder: Path, name: str, method: str, rows: list[dict]) -> Picture:
    rates = sorted({row["learning_rate"] for row in rows}, key=lambda rate: (rate is not None, rate or 0))
    measures = [measure for measure in MEASURES if measure.name in SHOWN]
    seen = {(row["learning_rate"], row["samples_seen"]): row for row in rows}

    def paint(figure: Any) -> None:
        axes = panels(figure, len(measures), sharex=True)
        for axis, measure in zip(axes, measures):
            for number, rate in enumerate(rates):
                line = sorted(
                    (key[1], row) for key, row in seen.items() if key[0] == rate and row[measure.name] is not None
                )
                x, y = [samples for samples, _ in line], [100 * row[measure.name] for _, row in line]
                axis.errorbar(
                    x,
                    y,
                    yerr=[100 * error_of(row, f"{measure.name}_se") for _, row in line],
                    color=SERIES[number % len(SERIES)],
                    marker=MARKERS[number % len(MARKERS)],
                    linestyle=DASHES[number % len(DASHES)],
                    elinewidth=0.8,
                    label=f"lr {labels.rate(rate)}" if rate is not None else labels.method(method),
                )
            axis.set_title(measure.title)
            axis.set_xlabel("samples seen")
            axis.xaxis.set_major_formatter("{x:,.0f}")
            axis.locator_params(axis="x", nbins=3)
            axis.set_ylim(-4, 104)
        for axis in axes if is_narrow(figure) else axes[:1]:
            axis.set_ylabel("percent")
        axes[0].legend(loc="best")

    caption = f"{curve_name(rows[0])}, {labels.split(SPLIT)}: what it does along training, with one standard error over episodes."
    return draw(
        folder, name, caption, f"{caption} The numbers are in behaviour.csv.", paint, (9, 2.6), 1.7 * len(measures)
    )
