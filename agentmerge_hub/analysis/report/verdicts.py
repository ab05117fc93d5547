"""Comparisons in words: one sentence for each, and the answer of the whole report in one sentence."""

from dataclasses import dataclass

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import rates_of, second_name
from agentmerge_hub.analysis.comparisons import ALPHA
from agentmerge_hub.analysis.episodes import Results
from agentmerge_hub.analysis.report.html import least_points
from agentmerge_hub.plural import counted

_CLAIMS = {"cross_task": "new tasks", "inter_task": "the training tasks with new seeds"}
"""What the comparison of a split speaks of."""


@dataclass(frozen=True)
class Verdict:
    """One comparison, as the report shows it."""

    split: str
    against: str
    main: bool
    """Whether it is a comparison with the paper's baseline."""
    word: str
    """As in the column ``verdict`` of comparisons.csv."""
    sentence: str
    brief: str
    """The same in a few words, for pages with many comparisons."""


def verdicts(comparisons: list[dict], focus: str) -> list[Verdict]:
    """The comparisons in words; those with the paper's baseline first."""
    ordered = sorted(comparisons, key=lambda row: row["method_b"] != labels.BASELINE)
    return [_verdict(row, focus) for row in ordered]


def answer(comparisons: list[dict], focus: str, results: Results) -> str:
    """The result of the comparisons with the paper's baseline (with all methods where it is absent), in one sentence."""
    rows = [row for row in comparisons if row["method_b"] == labels.BASELINE] or comparisons
    rows = [row for row in rows if row["pairs"]]
    if not rows:
        why = "no two methods have finished episodes in common" if comparisons else _no_rival(focus, results)
        return f"There is nothing to compare: {why}."
    if len(rows) <= 2:
        several = len({row["agent"] for row in rows}) > 1
        text = "; ".join(_short_answer(row, focus, row["agent"] if several else "") for row in rows)
        return text[0].upper() + text[1:] + "."
    mine = labels.method(focus)
    names = list(dict.fromkeys(second_name(row) for row in rows))
    others = " and ".join(names) if len(names) < 4 else "the others"
    if not any(row["about_methods"] for row in rows):
        low, high = min(row["difference"] for row in rows), max(row["difference"] for row in rows)
        return (
            f"No verdict on {mine} against {others} as methods, which takes three independent training runs of each: in {len(rows)} comparisons "
            f"these models differ by {points(low)} to {points(high)} points."
        )
    counts = {row["verdict"]: sum(other["verdict"] == row["verdict"] for other in rows) for row in rows}
    models = sum(counts.get(word, 0) for word in ("these two models", "these models"))
    parts = [f"{word} in {counts[word]}" for word in ("better", "worse", "not settled") if word in counts]
    parts += [f"no verdict on the methods in {models} (fewer than three independent training runs)"] if models else []
    return f"{mine} against {others}: {', '.join(parts)} of {len(rows)} comparisons."


def _no_rival(focus: str, results: Results) -> str:
    if len({row["method"] for row in results.rows}) == 1:
        return "the results hold one method only"
    if results.splits == ["validation"]:
        return "every episode is of the split validation, which only chooses λ and checkpoint"
    return f"no other method was evaluated with the agent of {labels.method(focus)}"


def _short_answer(row: dict, focus: str, agent: str) -> str:
    mine, other = labels.method(focus), second_name(row)
    where = "on " + _CLAIMS.get(row["split"], f"the same tasks ({labels.split(row['split'])})")
    if settings := [*([f"{agent} agent"] if agent else []), *_settings(row)]:
        where += f" ({', '.join(settings)})"
    numbers = f"{points(row['difference'])} points"
    if row["low"] is not None:
        numbers += f" (95 % interval {points(row['low'])} to {points(row['high'])})"
    if row["verdict"] in ("better", "worse"):
        return f"{mine} is {row['verdict']} than {other} {where}: {numbers}, p {p_text(row['p_holm'])}"
    if not row["about_methods"]:
        return (
            f"no verdict on {mine} and {other} as methods, which takes three independent training runs of each; "
            f"{_who(row)} differ by {numbers} {where}"
        )
    why = _why_not(row)
    return (
        f"whether {mine} is better or worse than {other} {where} is not settled{f' {why}' if why else ''}: {numbers}, "
        f"p {p_text(row['p_holm'])}"
    )


def _why_not(row: dict) -> str:
    """Why a comparison with a small p is not settled; empty where the p says it."""
    if row.get("chosen_here"):
        return "by episodes that chose λ or checkpoint"
    if row["p_holm"] is None or row["p_holm"] >= ALPHA:
        return ""
    if row["p_holm"] >= row.get("plan_level", ALPHA):
        return f"at the plan's level of {row['plan_level']:.4g}"
    if row["lost_a"] + row["lost_b"]:
        return "with the lost episodes"
    return ""


def _who(row: dict) -> str:
    return "these two models" if row["runs_a"] == row["runs_b"] == 1 else "these models"


def _settings(row: dict) -> list[str]:
    rates = [f"lr {rates_of(row, ' against ')}"] if row["learning_rate_a"] is not None else []
    return rates + ([f"λ {row['merge_lambda_a']:g}"] if row["merge_lambda_a"] is not None else [])


def _verdict(row: dict, focus: str) -> Verdict:
    mine, other = labels.method(focus), second_name(row)
    settings = _settings(row)
    at = f" ({', '.join(settings)})" if settings else ""
    heading = ", ".join([labels.split(row["split"]), *([f"{row['agent']} agent"] if row["agent"] else []), *settings])

    def verdict(sentence: str, brief: str) -> Verdict:
        return Verdict(heading, other, row["method_b"] == labels.BASELINE, row["verdict"], sentence, brief)

    if not row["pairs"]:
        text = f"{mine}{at} and {other} share no finished (task, seed): they cannot be compared."
        return verdict(text, "No finished (task, seed) in common.")
    p = f"p {p_text(row['p_holm'])}"
    sentence = (
        f"{mine}{at} scored {row['mean_a']:.3f} ({counted(row['runs_a'], 'run')}), {other} {row['mean_b']:.3f} ({counted(row['runs_b'], 'run')}) on "
        f"the same {row['pairs']} (task, seed) of {counted(row['tasks'], 'task')}: "
        f"{points(row['difference'])} points"
    )
    brief = f"{points(row['difference'])} points"
    if row["low"] is None:
        sentence += f"; {_without_interval(row)}, so there is no interval ({p} after Holm)"
        brief += f", {p}"
    else:
        interval = f"{points(row['low'])} to {points(row['high'])}"
        sentence += f", 95 % interval {interval}, {p} after Holm"
        brief += f" ({interval}), {p}"
    if not row["about_methods"]:
        what = "numbers hold" if row["low"] is None else "interval holds"
        sentence += (
            f". The {what} for {_who(row)}; a verdict on the methods takes three independent training runs of each"
        )
    elif row.get("chosen_here"):
        sentence += (
            ". λ or checkpoint was chosen on these episodes, so their score is biased upwards and there is no verdict"
        )
    elif row["verdict"] == "not settled" and row["low"] is not None:
        smallest = row["smallest_difference"]
        which = (
            f"only a difference of {least_points(smallest)} points or more" if smallest else "no possible difference"
        )
        sentence += f"; with this many runs and tasks {which} would usually show"
    sentence += "." + _extremes(row)
    return verdict(sentence, brief + ".")


def _without_interval(row: dict) -> str:
    """Why a comparison has no interval."""
    if row["claim"] == "new tasks":
        return (
            "one task shows nothing of other tasks" if row["tasks"] == 1 else "the difference is the same on every task"
        )
    if row["pairs"] == 1:
        return "one episode of a task shows nothing of other seeds"
    return "the difference is the same on every seed of a task"


def _extremes(row: dict) -> str:
    """What lost episodes could change."""
    if row.get("difference_if_failed") is None:
        return ""
    lost = row["lost_a"] + row["lost_b"]
    low, high = row["lost_lowest_reward"], row["lost_highest_reward"]
    rewards = "" if (low, high) == (0, 1) else f", with rewards from {low:g} to {high:g}"
    return (
        f" {counted(lost, 'episode is', 'episodes are')} lost: over all {row['planned']} (task, seed) "
        f"{points(row['difference_if_failed'])} points if all of them failed, {points(row['difference_if_succeeded'])} if all "
        f"succeeded, between {points(row['difference_lowest'])} and {points(row['difference_highest'])} whatever they were{rewards}."
    )


def p_text(value: float | None) -> str:
    """``= .031``, ``< .001``."""
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else "= " + (f"{value:.3f}".lstrip("0") if value < 0.9995 else "1")


def points(value: float) -> str:
    """A difference in points of 100 with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")
