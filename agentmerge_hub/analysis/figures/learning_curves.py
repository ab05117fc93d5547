"""Success along training (the paper's Figures 2, 3, 6 and 7), with the likelihood of the expert's answers in the same figure."""

from itertools import chain, count
from pathlib import Path
from typing import Any

from agentmerge_hub.analysis import labels, tables
from agentmerge_hub.analysis.candidates import Candidate, curve_name, name_with_lambda
from agentmerge_hub.analysis.episodes import Results
from agentmerge_hub.analysis.figures.plotting import (
    DASHES,
    INK,
    MARKERS,
    SERIES,
    Picture,
    draw,
    draw_runs,
    error_of,
    is_narrow,
    panels,
    start_at_zero,
)

PANELS = ("inter_task", "cross_task")


def table(results: Results, chosen: list[Candidate]) -> list[dict]:
    """The scores of every checkpoint, for the methods that were scored at two or more of them.

    The checkpoints of one split, agent and learning rate are scored on the episodes that all of them finished, whatever their
    method; the instruct model is scored on these too if it finished them.

    Args:
        chosen: where a method has several λ, the curves of all learning rates are at the one that was chosen most often.
    """
    found = list(results.by_candidate())
    along = [
        candidate for candidate in found if candidate.samples_seen is not None and at_its_lambda(candidate, chosen)
    ]
    seen: dict[tuple, set] = {}
    for candidate in along:
        seen.setdefault((candidate.agent, candidate.method), set()).add(candidate.samples_seen)
    lines: dict[tuple, list[Candidate]] = {}
    for candidate in along:
        if len(seen[candidate.agent, candidate.method]) > 1:
            lines.setdefault((candidate.agent, candidate.learning_rate), []).append(candidate)
    rows = []
    for split in PANELS:
        for (agent, rate), candidates in lines.items():
            instruct = tuple(c for c in found if (c.method, c.agent) == ("instruct", agent))
            line = tables.on_same_episodes(results, candidates, split, instruct)
            rows += [row | {"learning_rate": rate} for row in line]
    return rows


def at_its_lambda(candidate: Candidate, chosen: list[Candidate]) -> bool:
    """Whether it is at the λ that was chosen most often for its method; of several the one nearer ½."""
    alike = [c for c in chosen if (c.method, c.agent) == (candidate.method, candidate.agent)]
    weights = [c.merge_lambda for c in alike if c.merge_lambda is not None]
    return not weights or candidate.merge_lambda == max(
        sorted(set(weights), key=lambda weight: abs(weight - 0.5)), key=weights.count
    )


def learning_curves(folder: Path, along: list[dict], likelihood: list[dict]) -> list[Picture]:
    """A figure for each method and agent.

    Args:
        along: what `table` gave.
        likelihood: rows of likelihood.csv; empty where none was measured.
    """
    pictures: list[Picture] = []
    found = dict.fromkeys((row["method"], row["agent"]) for row in along if row["samples_seen"] is not None)
    for method, agent in sorted(found, key=lambda pair: pair[0] != labels.BASELINE):
        rows = [row for row in along if (row["method"], row["agent"]) == (method, agent)]
        weights = {row["merge_lambda"] for row in rows}
        expert = [row for row in likelihood if row["method"] == method]
        expert = [row for row in expert if "merge_lambda" not in row or row["merge_lambda"] in weights]
        expert = [row for row in expert if row["samples_seen"] is not None]
        instruct = [row for row in along if (row["method"], row["agent"]) == ("instruct", agent)]
        name = _unused(f"curves_{_slug(method)}_{_slug(agent)}", pictures)
        pictures.append(_ablation(folder, name, method, rows, expert, instruct))
    return pictures


def _ablation(
    folder: Path, name: str, method: str, rows: list[dict], likelihood: list[dict], instruct: list[dict]
) -> Picture:
    rates = _rates(rows)
    splits = [split for split in PANELS if any(row["split"] == split for row in rows)]

    def paint(figure: Any) -> None:
        axes = panels(figure, len(splits), sharex=True, sharey=True)
        for axis, split in zip(axes, splits):
            right = axis.twinx() if any(row["split"] == split for row in likelihood) else None
            for number, rate in enumerate(rates):
                mine = _line(rows, split, rate)
                _band(axis, mine, number, f"lr {labels.rate(rate)}" if rate is not None else labels.method(method))
                if right is not None:
                    _likelihood(right, _line(likelihood, split, rate), number)
            for reward in sorted({row["reward"] for row in instruct if row["split"] == split}):
                axis.axhline(reward, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), label="instruct")
            axis.set_title(labels.split(split))
            axis.set_xlabel("samples seen")
            axis.xaxis.set_major_formatter("{x:,.0f}")
            if right is not None:
                right.grid(visible=False)
                right.spines["right"].set_visible(True)
                right.set_ylabel("likelihood of expert answers (dotted)" if split == splits[-1] else "")
        axes[0].set_ylabel("mean reward")
        start_at_zero(axes[0], rows)
        figure.legend(
            *axes[-1].get_legend_handles_labels(), loc="outside lower center", ncols=2 if is_narrow(figure) else 4
        )

    caption = (
        f"{curve_name(rows[0])}: mean reward along training by learning rate, with one standard error (over new seeds "
        "for inter-task, over new tasks for cross-task); dots are training runs"
    )
    caption += "; dotted, the geometric-mean token probability of held-out expert answers." if likelihood else "."
    return draw(
        folder,
        name,
        caption,
        f"{caption} The numbers are in along_training.csv.",
        paint,
        (9, 3.4),
        0.8 + 2.6 * len(splits),
    )


def merged_against(
    folder: Path, along: list[dict], focus: str, baseline: str, split: str = "cross_task"
) -> list[Picture]:
    """Figure 3: the merged model against the fine-tuned one along training, a panel for each learning rate."""
    pictures: list[Picture] = []
    for agent in dict.fromkeys(row["agent"] for row in along):
        mine = [row for row in along if (row["agent"], row["split"]) == (agent, split)]
        lines = {method: [row for row in mine if row["method"] == method] for method in (baseline, focus)}
        rates = _rates(lines[focus])
        rates = [rate for rate in rates if all(len(_line(rows, split, rate)) > 1 for rows in lines.values())]
        if rates:
            name = _unused(f"merged_along_training_{_slug(agent)}", pictures)
            pictures.append(_against(folder, name, lines, rates, split, agent))
    return pictures


def _against(
    folder: Path, name: str, lines: dict[str, list[dict]], rates: list[float | None], split: str, agent: str
) -> Picture:
    def paint(figure: Any) -> None:
        axes = panels(figure, len(rates), sharex=True, sharey=True)
        for axis, rate in zip(axes, rates):
            for number, (method, rows) in enumerate(lines.items()):
                _band(axis, _line(rows, split, rate), number, name_with_lambda(method, rows[0]["merge_lambda"]))
            axis.set_title(f"lr {labels.rate(rate)}" if rate is not None else labels.split(split))
            axis.set_xlabel("samples seen")
            axis.xaxis.set_major_formatter("{x:,.0f}")
            axis.locator_params(axis="x", nbins=5)
        axes[0].set_ylabel(f"mean reward, {labels.split(split)}")
        start_at_zero(axes[0], [row for rows in lines.values() for row in rows])
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2 if is_narrow(figure) else 4
        )

    names = " against ".join(name_with_lambda(method, lines[method][0]["merge_lambda"]) for method in reversed(lines))
    caption = f"{names} along training, {labels.split(split)}{f', {agent} agent' if agent else ''}, with one standard error; dots are training runs."
    return draw(
        folder,
        name,
        caption,
        f"{caption} The numbers are in along_training.csv.",
        paint,
        (9, 3.2),
        0.8 + 2.4 * len(rates),
    )


def _rates(rows: list[dict]) -> list[float | None]:
    return sorted({row["learning_rate"] for row in rows}, key=lambda rate: (rate is not None, rate or 0))


def _line(rows: list[dict], split: str, rate: float | None) -> list[dict]:
    mine = [row for row in rows if row["split"] == split and row["learning_rate"] == rate]
    return sorted(mine, key=lambda row: row["samples_seen"])


def _band(axis: Any, rows: list[dict], number: int, label: str) -> None:
    """A line with one standard error as bars and as a band, and the runs behind each mean as dots."""
    x, y = _x(rows), [row["reward"] for row in rows]
    error = [error_of(row) for row in rows]
    for row in rows:
        draw_runs(axis, row["samples_seen"], row, _color(number))
    style = {
        "color": _color(number),
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number % len(DASHES)],
    }
    axis.errorbar(x, y, yerr=error, label=label, elinewidth=0.8, capsize=2, **style)
    low, high = [m - e for m, e in zip(y, error)], [m + e for m, e in zip(y, error)]
    axis.fill_between(x, low, high, color=_color(number), alpha=0.15, linewidth=0)


def _likelihood(axis: Any, rows: list[dict], number: int) -> None:
    rows = [row for row in rows if row["likelihood"] is not None]
    axis.plot(_x(rows), [row["likelihood"] for row in rows], ":", color=_color(number), linewidth=1.3)
    rows = [row for row in rows if row["likelihood_low"] is not None]
    low, high = [row["likelihood_low"] for row in rows], [row["likelihood_high"] for row in rows]
    axis.fill_between(_x(rows), low, high, color=_color(number), alpha=0.08, linewidth=0)


def _x(rows: list[dict]) -> list[int]:
    return [row["samples_seen"] for row in rows]


def _color(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _unused(name: str, pictures: list[Picture]) -> str:
    """The name of a new picture, numbered where another has it: unlike methods or agents can have one slug."""
    name, taken = name.rstrip("_"), {picture.name for picture in pictures}
    return next(free for free in chain([name], (f"{name}_{number}" for number in count(2))) if free not in taken)


def _slug(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)[:60]
