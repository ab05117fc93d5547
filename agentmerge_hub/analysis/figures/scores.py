"""Figures of Table 1 and its comparisons: the scores, and the differences in pairs."""

from pathlib import Path

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import Candidate, candidate_in, short_labels
from agentmerge_hub.analysis.figures.plotting import INK, MARKERS, SERIES, Picture, draw


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
        pictures += [scores(folder, mine, names, ending, note), differences(folder, pairs, focus, ending, note)]
    return [picture for picture in pictures if picture is not None]


def scores(folder: Path, rows: list[dict], names: dict[Candidate, str], ending: str, note: str) -> Picture | None:
    """Mean reward of each candidate with one standard error, a panel for each split."""
    splits = list(dict.fromkeys(row["split"] for row in rows))
    shown = [row for row in rows if row.get("reward") is not None]
    order = list(names)
    if not shown:
        return None

    def paint(figure) -> None:
        axes = figure.subplots(1, len(splits), sharex=True, sharey=True, squeeze=False)[0]
        for axis, split in zip(axes, splits):
            for row in (row for row in shown if row["split"] == split):
                place = order.index(candidate_in(row))
                colour = _colour(row["method"], order)
                axis.errorbar(
                    row["reward"], place, xerr=row["se"] or 0, fmt="o", color=colour, capsize=3, elinewidth=1.6
                )
            axis.set_title(labels.split(split))
            axis.set_yticks(range(len(order)), [names[candidate] for candidate in order])
            axis.set_ylim(len(order) - 0.5, -0.5)
            axis.set_xlabel("mean reward")
            axis.locator_params(axis="x", nbins=6)
            ends = [(row["reward"] - (row["se"] or 0), row["reward"] + (row["se"] or 0)) for row in shown]
            widest = max(high for _, high in ends) or 1.0
            axis.set_xlim(min(0, *(low for low, _ in ends)) - 0.03 * widest, 1.05 * widest)
            axis.grid(axis="y", visible=False)

    caption = (
        "Mean reward with one standard error in each direction: over new seeds of the same tasks (inter-task), over new "
        f"tasks (cross-task).{note}"
    )
    described = "; ".join(f"{names[candidate_in(r)]}, {labels.split(r['split'])}: {r['reward']:.3f}" for r in shown)
    return draw(folder, f"scores{ending}", caption, described, paint, (9, 1.1 + 0.36 * len(order)))


def differences(folder: Path, rows: list[dict], focus: str, ending: str, note: str) -> Picture | None:
    """What the method in focus gains over each other, with its 95 % interval."""
    shown = [row for row in rows if row.get("difference") is not None]
    if not shown:
        return None

    def name(row: dict) -> str:
        at = f" (lr {labels.rate(row['learning_rate_a'])})" if row["learning_rate_a"] is not None else ""
        setting = f" λ {labels.plain(row['merge_lambda_a'])}" if len({r["merge_lambda_a"] for r in shown}) > 1 else ""
        return f"{labels.split(row['split'])}:{setting} − {labels.method(row['method_b'])}{at}"

    def paint(figure) -> None:
        axis = figure.subplots()
        splits = list(dict.fromkeys(row["split"] for row in shown))
        for place, row in enumerate(shown):
            which = splits.index(row["split"])
            colour, marker = SERIES[which % len(SERIES)], MARKERS[which % len(MARKERS)]
            if row["low"] is not None:
                axis.plot([100 * row["low"], 100 * row["high"]], [place, place], color=colour, linewidth=2)
            axis.plot(100 * row["difference"], place, marker, color=colour, markersize=6)
        axis.axvline(0, color=INK, linewidth=0.8)
        axis.set_yticks(range(len(shown)), [name(row) for row in shown])
        axis.set_ylim(len(shown) - 0.5, -0.5)
        axis.set_xlabel(f"{labels.method(focus)} minus the other, in points of reward (0–100)")
        axis.grid(axis="y", visible=False)

    caption = "Paired differences with 95 % intervals; right of zero the method in focus is better." + note
    described = "; ".join(f"{name(row)}: {100 * row['difference']:+.1f}" for row in shown)
    return draw(folder, f"differences{ending}", caption, described, paint, (9, 1.1 + 0.34 * len(shown)))


def _colour(method: str, order: list[Candidate]) -> str:
    methods = list(dict.fromkeys(candidate.method for candidate in order))
    return SERIES[methods.index(method) % len(SERIES)]
