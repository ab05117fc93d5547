"""What the numbers show and don't show, in sentences made from the numbers alone."""

from dataclasses import dataclass

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.episodes import Results
from agentmerge_hub.analysis.planning import sample_size
from agentmerge_hub.analysis.report.trace_pages import Pages

FEW_TASKS = 15
"""Below this many tasks a 95 % interval over new tasks covers less than it says: 89–95 % at 5 to 10 tasks in the
simulations of the coverage tests, 93–96 % from 15 on."""


@dataclass(frozen=True)
class Verdict:
    """One comparison at one look."""

    split: str
    against: str
    main: bool
    """Whether it is the comparison that the page opens on."""
    word: str
    """``better``, ``worse``, ``not settled`` or ``not compared``."""
    sentence: str
    brief: str
    """The same in a few words, for pages with many comparisons."""


def verdicts(comparisons: list[dict], focus: str) -> list[Verdict]:
    """The comparisons in words; those with the paper's baseline first."""
    ordered = sorted(comparisons, key=lambda row: row["method_b"] != labels.BASELINE)
    return [_verdict(row, focus) for row in ordered]


def _verdict(row: dict, focus: str) -> Verdict:
    mine, other = labels.method(focus), labels.method(row["method_b"])
    settings = [f"lr {labels.rate(row['learning_rate_a'])}"] if row["learning_rate_a"] is not None else []
    settings += [f"λ {row['merge_lambda_a']:g}"] if row["merge_lambda_a"] is not None else []
    at = f" ({', '.join(settings)})" if settings else ""
    where = ", ".join([labels.split(row["split"]), *([f"{row['agent']} agent"] if row["agent"] else [])])

    def verdict(word: str, sentence: str, brief: str) -> Verdict:
        heading = ", ".join([where, *settings])
        return Verdict(heading, other, row["method_b"] == labels.BASELINE, word, sentence, brief)

    if not row["pairs"]:
        sentence = f"{mine}{at} and {other} share no finished (task, seed): they can't be compared in pairs."
        return verdict("not compared", sentence, "No finished (task, seed) in common.")
    said = (
        f"{mine}{at} scored {row['mean_a']:.3f}, {other} {row['mean_b']:.3f} on the same {row['pairs']} episodes of "
        f"{row['tasks']} {'task' if row['tasks'] == 1 else 'tasks'}: {_points(row['difference'])} points"
    )
    p = f"p {_p(row['p_holm'])}"
    if row["low"] is None:
        why = "one task has no spread to judge by" if row["tasks"] == 1 else "there is no spread to judge by"
        return verdict(
            "not settled",
            f"{said}; {why}, so there is no interval ({p}).",
            f"{_points(row['difference'])} points, {p}.",
        )
    interval = f"{_points(row['low'])} to {_points(row['high'])}"
    brief = f"{_points(row['difference'])} points ({interval}), {p}."
    said += f", 95 % interval {interval}, {p} after Holm"
    if row["p_holm"] < 0.05 and (row["low"] > 0 or row["high"] < 0):
        return verdict("better" if row["low"] > 0 else "worse", said + ".", brief)
    smallest = row["smallest_difference"]
    tail = (
        f"; with this much data only a difference of {100 * smallest:.0f} points or more would usually show."
        if smallest
        else "."
    )
    return verdict("not settled", said + tail, brief)


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else "= " + (f"{value:.3f}".lstrip("0") if value < 0.9995 else "1")


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def limits(results: Results, scored: list[dict], comparisons: list[dict], notes: list[str]) -> list[str]:
    """What a reader must not conclude, most weighty first."""
    said = []
    if not any(row.get("success") for row in scored):
        n = sum(row["n"] for row in scored)
        said.append(f"No method solved any of its {n} finished episodes, so nothing here tells the methods apart.")
    elif unsolved := [row for row in scored if row["n"] and not row["success"]]:
        said.append(
            f"Nothing was solved by {'; '.join(_bound(row) for row in unsolved)}. The bounds hold with 95 % confidence, on these "
            "tasks; that the rates are zero is not shown."
        )
    lost = sum(row["missing"] + row["crashed"] for row in scored)
    if lost:
        asked = sum(row["asked"] for row in scored)
        said.append(
            f"{lost} of {asked} episodes crashed or are missing and are in no mean; if they were lost because they were hard, "
            "the means flatter. The column “if failed” counts them as failures."
        )
    for split in dict.fromkeys(row["split"] for row in scored):
        tasks = max(row["tasks"] for row in scored if row["split"] == split)
        if tasks == 1:
            said.append(f"{labels.split(split).capitalize()} has one task: nothing can be said about other tasks.")
        elif tasks < FEW_TASKS and split == "cross_task":
            said.append(
                f"{labels.split(split).capitalize()} has {tasks} tasks: the errors over new tasks rest on {tasks} units and are rough"
                + (f", and a test over {tasks} tasks can't reach a p below {2 ** (1 - tasks):g}." if tasks < 6 else ".")
            )
    if all(row["runs"] <= 1 for row in scored):
        said.append("Each method stands for one training run: how much a second run would differ is in no error here.")
    else:
        said.append("Training runs are averaged; how much they vary is not in the errors, which hold the runs fixed.")
    said.append(
        f"The rewards are those of {results.benchmark or 'one benchmark'} with these models and prompts; they say nothing of other "
        "sites, sizes or agents."
    )
    said += _same_weights(results)
    unpaired = max((row["only_a"] + row["only_b"] for row in comparisons), default=0)
    if unpaired:
        said.append(
            f"Comparisons leave out finished episodes without a partner on the other side: up to {unpaired} here."
        )
    return said + notes + results.notes


def _bound(row: dict) -> str:
    who = ", ".join(part for part in (labels.split(row["split"]), row["agent"]) if part)
    return f"{labels.method(row['method'])} ({who}: {row['n']} episodes, a rate below {sample_size.rate_above_none(row['n']):.0%})"


def _same_weights(results: Results) -> list[str]:
    """Methods whose weights are the same to the bit, so that their episodes are too."""
    methods: dict[str, dict[str, None]] = {}
    for row in results.rows:
        if row["weights_hash"]:
            methods.setdefault(row["weights_hash"], {})[labels.method(row["method"])] = None
    shared = {tuple(names) for names in methods.values() if len(names) > 1}
    return [f"{' and '.join(names)} have the same weights: their scores are one model's." for names in sorted(shared)]


def about_traces(pages: Pages) -> list[str]:
    """What a reader misses among the trace pages."""
    said = []
    if pages.unreadable:
        said.append(
            f"{pages.unreadable} traces can't be read: their episodes have no page and are in no count of loops."
        )
    if pages.left_out:
        said.append(f"{pages.left_out} more traces have no page here; --traces sets how many are written.")
    if pages.screenshots:
        said.append(
            f"The trace pages hold {pages.screenshots} screenshots as they were taken, while texts had their secrets replaced: look "
            "at them before sharing this folder."
        )
    return said
