"""Success against λ, the weight of the agent in the merge, with the λ that the validation tasks chose."""

from pathlib import Path
from typing import Any

from agentmerge_hub.analysis import labels, tables
from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.episodes import Results
from agentmerge_hub.analysis.figures.plotting import INK, MARKERS, SERIES, Picture, draw

ENDS = {"instruct": 0.0, "agent": 1.0}


def table(results: Results, focus: str) -> list[dict]:
    """A line for each split, agent and learning rate: the scores at every λ, on the episodes that all of them finished.

    Of AgentMerge's lines the instruct model is the end at λ 0, and the agent of the same learning rate and checkpoint that at
    λ 1, where they finished these episodes too. Below two λ there is no line.
    """
    found = results.by_candidate()
    lines: dict[tuple, list[Candidate]] = {}
    for candidate in found:
        if candidate.method == focus and candidate.merge_lambda is not None:
            lines.setdefault((candidate.agent, candidate.learning_rate), []).append(candidate)
    rows = []
    for split in results.splits:
        for (agent, rate), merges in lines.items():
            seen = _checkpoint(merges)
            merges = [candidate for candidate in merges if candidate.samples_seen == seen]
            setting = {"agent": agent, "learning_rate": rate, "samples_seen": seen}
            ends = [candidate for candidate in found if focus == "agentmerge" and _is_end(candidate, setting)]
            line = tables.on_same_episodes(results, merges, split, tuple(ends))
            if sum(row["method"] == focus for row in line) > 1:
                line = [row | setting | {"merge_lambda": ENDS.get(row["method"], row["merge_lambda"])} for row in line]
                rows += sorted(line, key=lambda row: row["merge_lambda"])
    return rows


def _is_end(candidate: Candidate, setting: dict) -> bool:
    if candidate.method == "instruct":
        return candidate.agent == setting["agent"]
    return candidate.method == "agent" and setting.items() <= candidate._asdict().items()


def _checkpoint(merges: list[Candidate]) -> int | None:
    """The checkpoint that was merged at the most λ; of several the last."""
    seen = [candidate.samples_seen for candidate in merges]
    return max(seen, key=lambda samples: (seen.count(samples), samples or 0))


def draw_lambda(folder: Path, rows: list[dict], choices: list[dict], focus: str) -> Picture | None:
    """One panel for each split; None without rows.

    Args:
        rows: what `table` gave.
        choices: rows of chosen.csv.
    """
    if not rows:
        return None
    splits, lines = (list(dict.fromkeys(map(part, rows))) for part in (lambda row: row["split"], _line_of))
    picked = {_line_of(row): row["merge_lambda"] for row in choices if row["method"] == focus and row["chosen"]}

    def paint(figure: Any) -> None:
        axes = figure.subplots(1, len(splits), sharex=True, sharey=True, squeeze=False)[0]
        for axis, split in zip(axes, splits):
            for number, line in enumerate(lines):
                colour, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
                mine = [row for row in rows if (row["split"], _line_of(row)) == (split, line)]
                x, y = [row["merge_lambda"] for row in mine], [row["reward"] for row in mine]
                error = [row["se"] or 0 for row in mine]
                axis.errorbar(
                    x, y, yerr=error, color=colour, marker=marker, capsize=2, elinewidth=0.9, label=_name(line, lines)
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

    caption = "Mean reward against λ, with one standard error, each line on the episodes that all its λ finished"
    if any(row["method"] == focus for row in choices):
        caption += "; a ring marks the λ that the validation tasks chose, where they chose this checkpoint."
    else:
        caption += "; no validation tasks chose among them."
    return draw(folder, "lambda", caption, f"{caption} The numbers are in lambda_curve.csv.", paint, (9, 3.2))


def _line_of(row: dict) -> tuple:
    return (row["agent"], row["learning_rate"], row["samples_seen"])


def _name(line: tuple, lines: list[tuple]) -> str:
    agent, rate, _ = line
    told = agent if len({other[0] for other in lines}) > 1 else ""
    return ", ".join(part for part in (told, f"lr {labels.rate(rate)}" if rate is not None else "") if part)
