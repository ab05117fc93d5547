"""Figures of Table 1 and its comparisons: the mean rewards, and the differences of the method in focus from the others."""

from pathlib import Path
from typing import Any

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import Candidate, candidate_in, rates_of, second_name, short_labels
from agentmerge_hub.analysis.figures.plotting import (
    INK,
    MARKERS,
    SERIES,
    Picture,
    draw,
    error_of,
    is_narrow,
    panels,
    run_means,
)


def for_each_agent(folder: Path, table1: list[dict], comparisons: list[dict], focus: str) -> list[Picture]:
    """Both figures for each agent, named after it where there are several."""
    agents = list(dict.fromkeys(row["agent"] for row in table1))
    pictures = []
    for number, agent in enumerate(agents, 1):
        ending = f"_{number}" if len(agents) > 1 else ""
        note = f" The {agent} agent." if len(agents) > 1 else ""
        mine = [row for row in table1 if row["agent"] == agent]
        names = short_labels(dict.fromkeys(candidate_in(row) for row in mine))
        pairs = [row for row in comparisons if row["agent"] == agent]
        pictures += [differences(folder, pairs, focus, ending, note), scores(folder, mine, names, ending, note)]
    return [picture for picture in pictures if picture is not None]


def scores(folder: Path, rows: list[dict], names: dict[Candidate, str], ending: str, note: str) -> Picture | None:
    """Mean reward of each candidate with one standard error and its training runs, a panel for each split."""
    splits = list(dict.fromkeys(row["split"] for row in rows))
    shown = [row for row in rows if row.get("reward") is not None]
    order = list(names)
    if not shown:
        return None
    ends = [(row["reward"] - (row["se"] or 0), row["reward"] + (row["se"] or 0)) for row in shown]
    ends += [(mean, mean) for row in shown for mean in run_means(row)]
    lowest, highest = min(0.0, *(low for low, _ in ends)), max(0.0, *(high for _, high in ends))
    width = highest - lowest or 1.0

    def paint(figure: Any) -> None:
        for axis, split in zip(panels(figure, len(splits), sharex=True, sharey=True), splits):
            for row in (row for row in shown if row["split"] == split):
                place = order.index(candidate_in(row))
                color = _color(row["method"], order)
                means = run_means(row)
                axis.plot(means, [place + 0.22] * len(means), ".", color=color, markersize=5, alpha=0.6)
                axis.errorbar(row["reward"], place, xerr=error_of(row), fmt="o", color=color, capsize=3, elinewidth=1.6)
            axis.set_title(labels.split(split))
            axis.set_yticks(range(len(order)), [_wrapped(names[candidate], figure) for candidate in order])
            axis.set_ylim(len(order) - 0.5, -0.5)
            axis.set_xlabel("mean reward")
            axis.locator_params(axis="x", nbins=5)
            axis.set_xlim(lowest - 0.03 * width, lowest + 1.05 * width)
            axis.grid(axis="y", visible=False)

    caption = (
        "Mean reward with one standard error: over new seeds of the same tasks (inter-task), over new tasks (cross-task). Dots "
        f"are the training runs.{note}"
    )
    described = "; ".join(f"{names[candidate_in(r)]}, {labels.split(r['split'])}: {r['reward']:.3f}" for r in shown)
    narrow_height = len(splits) * (0.7 + 0.36 * len(order))
    size = (9, 1.1 + 0.36 * len(order))
    return draw(folder, f"scores{ending}", caption, described, paint, size, narrow_height)


def differences(folder: Path, rows: list[dict], focus: str, ending: str, note: str) -> Picture | None:
    """Difference of the method in focus from each other one, with its 95 % interval; filled where there is a verdict."""
    shown = [row for row in rows if row.get("difference") is not None]
    if not shown:
        return None
    shown.sort(key=lambda row: row["method_b"] != labels.BASELINE)
    splits = list(dict.fromkeys(row["split"] for row in shown))
    several = len({row["merge_lambda_a"] for row in shown}) > 1

    def name(row: dict) -> str:
        settings = [labels.split(row["split"])]
        settings += [f"lr {rates_of(row, ' against ')}"] if row["learning_rate_a"] is not None else []
        settings += [f"λ {labels.plain(row['merge_lambda_a'])}"] if several else []
        return f"− {second_name(row)}, {', '.join(settings)}"

    def paint(figure: Any) -> None:
        axis = figure.subplots()
        for place, row in enumerate(shown):
            which = splits.index(row["split"])
            color, marker = SERIES[which % len(SERIES)], MARKERS[which % len(MARKERS)]
            if row["low"] is not None:
                style = "-" if row["about_methods"] else ":"
                axis.plot([100 * row["low"], 100 * row["high"]], [place, place], style, color=color, linewidth=2)
            filled = color if row["verdict"] in ("better", "worse") else "none"
            axis.plot(100 * row["difference"], place, marker, color=color, markersize=7, markerfacecolor=filled)
        axis.axvline(0, color=INK, linewidth=0.8)
        axis.set_yticks(range(len(shown)), [_wrapped(name(row), figure) for row in shown])
        axis.set_ylim(len(shown) - 0.5, -0.5)
        of = "" if is_narrow(figure) else " of reward (0–100)"
        axis.set_xlabel(f"{labels.method(focus)} minus the other, points{of}")
        axis.grid(axis="y", visible=False)

    caption = (
        f"Differences with 95 % intervals; right of zero {labels.method(focus)} is better. Filled: a verdict on the methods. "
        f"Dotted: about these models only, with fewer than three independent training runs.{note}"
    )
    described = "; ".join(f"{name(row)}: {100 * row['difference']:+.1f} ({row['verdict']})" for row in shown)
    size = (9, 0.9 + 0.34 * len(shown))
    return draw(folder, f"differences{ending}", caption, described, paint, size, 0.9 + 0.46 * len(shown))


def _wrapped(name: str, figure: Any) -> str:
    """A label in two lines on a narrow screen."""
    return name.replace(", ", "\n", 1) if is_narrow(figure) else name


def _color(method: str, order: list[Candidate]) -> str:
    methods = list(dict.fromkeys(candidate.method for candidate in order))
    return SERIES[methods.index(method) % len(SERIES)]
