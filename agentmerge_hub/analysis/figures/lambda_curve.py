"""Success against λ, the weight of the agent in the merge, with a ring around the λ that the validation tasks chose."""

from pathlib import Path
from typing import Any

from agentmerge_hub.analysis import labels, tables
from agentmerge_hub.analysis.candidates import Candidate, candidate_in
from agentmerge_hub.analysis.episodes import Results
from agentmerge_hub.analysis.figures.plotting import (
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

ENDS = {"instruct": 0.0, "agent": 1.0}


def table(results: Results, focus: str, choices: list[dict]) -> list[dict]:
    """A line for each split, agent and learning rate: the scores at every λ, on the episodes that all of them finished.

    Of AgentMerge's lines the instruct model is the end at λ 0, and the agent of the same learning rate and checkpoint the end
    at λ 1, where they finished these episodes too; so is the merge that was chosen, if it is of another checkpoint. Below
    two λ there is no line. The column ``line`` holds the checkpoint of the line.

    Args:
        choices: rows of chosen.csv.
    """
    found = results.by_candidate()
    picked = [candidate_in(row) for row in choices if row["method"] == focus and row["chosen"]]
    lines: dict[tuple, list[Candidate]] = {}
    for candidate in found:
        if candidate.method == focus and candidate.merge_lambda is not None:
            lines.setdefault((candidate.agent, candidate.learning_rate), []).append(candidate)
    rows = []
    for split in results.splits:
        for (agent, rate), merges in lines.items():
            seen = _checkpoint(merges)
            line = [candidate for candidate in merges if candidate.samples_seen == seen]
            setting = {"agent": agent, "learning_rate": rate, "samples_seen": seen}
            ends = [candidate for candidate in found if focus == "agentmerge" and _is_end(candidate, setting)]
            ends += [candidate for candidate in picked if candidate in merges and candidate not in line]
            scored = tables.on_same_episodes(results, line, split, tuple(ends))
            if sum(row["method"] == focus and row["samples_seen"] == seen for row in scored) > 1:
                for row in scored:
                    at = {"merge_lambda": ENDS.get(row["method"], row["merge_lambda"]), "line": seen}
                    own = row["samples_seen"] if row["method"] == focus else seen
                    chosen = candidate_in(row) in picked
                    rows.append(row | setting | {"samples_seen": own, "chosen": chosen} | at)
    return sorted(rows, key=lambda row: (results.splits.index(row["split"]), row["merge_lambda"]))


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
    splits, lines = list(dict.fromkeys(row["split"] for row in rows)), sorted({_line_of(row) for row in rows}, key=str)

    def paint(figure: Any) -> None:
        axes = panels(figure, len(splits), sharex=True, sharey=True)
        for axis, split in zip(axes, splits):
            for number, line in enumerate(lines):
                color, marker = SERIES[number % len(SERIES)], MARKERS[number % len(MARKERS)]
                mine = [row for row in rows if (row["split"], _line_of(row)) == (split, line)]
                on_line = [row for row in mine if row["samples_seen"] == row["line"]]
                style = {"color": color, "marker": marker, "capsize": 2, "elinewidth": 0.9}
                _points(axis, on_line, style, label=_name(line, lines))
                for row in mine:
                    draw_runs(axis, row["merge_lambda"], row, color)
                    if row not in on_line:
                        _points(axis, [row], style | {"linestyle": "none", "markerfacecolor": "none"}, label=None)
                        place = (row["merge_lambda"], row["reward"])
                        text = f"{row['samples_seen'] or 0:,} samples"
                        axis.annotate(text, place, (7, 5), textcoords="offset points", fontsize=8)
                    if row["chosen"]:
                        axis.plot(
                            row["merge_lambda"],
                            row["reward"],
                            "o",
                            markersize=13,
                            markerfacecolor="none",
                            markeredgecolor=INK,
                        )
            axis.set_title(f"{labels.split(split)}{' (chooses λ)' if split == 'validation' else ''}")
            axis.set_xlabel("λ (0: instruct, 1: agent)")
        for axis in axes if is_narrow(figure) else axes[:1]:
            axis.set_ylabel("mean reward")
        start_at_zero(axes[0], rows)
        if len(lines) > 1:
            columns = 2 if is_narrow(figure) else min(len(lines), 4)
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns)

    caption = "Mean reward against λ, with one standard error, each line on the episodes that all its λ finished; dots are training runs"
    if any(row["method"] == focus for row in choices):
        caption += "; a ring marks the λ that was chosen"
        caption += ", open points are of another checkpoint." if _off_line(rows) else "."
    else:
        caption += "; no validation tasks chose among them."
    alternative = f"{caption} The numbers are in lambda_curve.csv."
    return draw(folder, "lambda", caption, alternative, paint, (9, 3.2), 0.6 + 2.4 * len(splits))


def _points(axis: Any, rows: list[dict], style: dict[str, Any], label: str | None) -> None:
    x, y = [row["merge_lambda"] for row in rows], [row["reward"] for row in rows]
    axis.errorbar(x, y, yerr=[error_of(row) for row in rows], label=label, **style)


def _off_line(rows: list[dict]) -> bool:
    return any(row["samples_seen"] != row["line"] for row in rows)


def _line_of(row: dict) -> tuple:
    return (row["agent"], row["learning_rate"], row["line"])


def _name(line: tuple, lines: list[tuple]) -> str:
    agent, rate, _ = line
    shown = agent if len({other[0] for other in lines}) > 1 else ""
    return ", ".join(part for part in (shown, f"lr {labels.rate(rate)}" if rate is not None else "") if part)
