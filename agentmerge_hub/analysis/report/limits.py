"""What a reader must not conclude from a report, in sentences made from the numbers alone."""

from collections import Counter
from math import ceil

from agentmerge_hub.analysis import labels
from agentmerge_hub.analysis.candidates import candidate_in
from agentmerge_hub.analysis.comparisons import MIN_RUNS
from agentmerge_hub.analysis.episodes import UNTRAINED, Results, done, shared_runs, weights_of
from agentmerge_hub.analysis.planning import sample_size
from agentmerge_hub.analysis.report import conditions
from agentmerge_hub.analysis.report.trace_pages import Pages
from agentmerge_hub.plural import counted

ENOUGH_RUNS = 5
"""Training runs from which simulated false verdicts stay near 5 % also where only one method's runs differ."""
FEW_TASKS = 10
"""Below this many tasks an interval over new tasks rests on few units and is wide and rough."""


def limits(results: Results, scored: list[dict], comparisons: list[dict], notes: list[str]) -> list[str]:
    """Limits of the results, the weightiest first; then `notes` and the notes of the results."""
    found = []
    if not any(row.get("success") for row in scored):
        n = sum(row["n"] for row in scored)
        alike = "so nothing here separates the methods" if _all_alike(results) else "their rewards differ below that"
        found.append(f"No method solved any of its {n} finished episodes, {alike}.")
    elif unsolved := [row for row in scored if row["n"] and not row["success"]]:
        found.append(
            f"Nothing was solved by {'; '.join(_bound(row) for row in unsolved)}. The bounds hold with 95 % confidence, for these "
            "models on these tasks; that the rates are zero is not shown."
        )
    found += [sentence for row in scored if (sentence := _unread(results, row))]
    found += _answered_by_others(results)
    found += conditions.differences(results, comparisons)
    if few := [row for row in scored if row["n"] and row["runs"] < MIN_RUNS and row["method"] not in UNTRAINED]:
        names = ", ".join(
            dict.fromkeys(f"{labels.method(row['method'])} ({counted(row['runs'], 'run')})" for row in few)
        )
        found.append(
            f"Fewer than three training runs: {names}. Their errors hold the runs fixed, and their comparisons are about these "
            "models: another training run of the same recipe can score differently by more than the interval."
        )
    found += _overlapping(results, scored)
    found += [sentence for row in comparisons if (sentence := _partly_shared(row))]
    found += _few_runs(comparisons)
    lost = sum(row["missing"] + row["crashed"] for row in scored)
    if lost:
        planned = sum(row["planned"] for row in scored)
        found.append(
            f"{lost} of {planned} episodes crashed or are missing and are in no mean. A comparison counts each (task, seed) that both "
            "methods finished once, so its means can differ from Table 1's. A verdict is given only where it is the same if all of "
            "the lost failed, if all succeeded, and in the worst and best case between."
        )
    for split in dict.fromkeys(row["split"] for row in scored):
        tasks = max(row["tasks"] for row in scored if row["split"] == split)
        if tasks == 1:
            found.append(f"{labels.split(split).capitalize()} has one task: nothing can be said about other tasks.")
        elif tasks < FEW_TASKS and split == "cross_task":
            found.append(
                f"{labels.split(split).capitalize()} has {counted(tasks, 'task')}: errors over new tasks rest on {counted(tasks, 'unit')}."
            )
    found.append(
        f"The rewards are those of {results.benchmark or 'one benchmark'} with these models and prompts; they say nothing of other "
        "sites, sizes or agents."
    )
    return list(dict.fromkeys(found + _same_weights(results) + notes + results.notes))


def _partly_shared(row: dict) -> str:
    """A sentence where two methods share some training seeds, so that their runs are not paired."""
    shared = row.get("shared_run_seeds") or 0
    if not shared or row["paired_runs"] or not row["about_methods"]:
        return ""
    a, b = labels.method(row["method_a"]), labels.method(row["method_b"])
    return (
        f"{a} ({counted(row['runs_a'], 'run')}) and {b} ({counted(row['runs_b'], 'run')}) share only "
        f"{counted(shared, 'training seed')} ({labels.split(row['split'])}): their runs are compared as independent, not in "
        "pairs. Where runs with the same seed score alike, the interval is wider than with all seeds shared."
    )


def _answered_by_others(results: Results) -> list[str]:
    """A sentence for each model that an endpoint named otherwise than it was asked."""
    found = Counter((row["method"], row["model"], row["answered_as"]) for row in results.rows if row["answered_as"])
    return [
        f"In {counted(number, 'episode')} of {labels.method(method)} ({model}) the endpoint answered as {names}: unless these are names "
        "of one model, the scores are another model's."
        for (method, model, names), number in found.items()
    ]


def _overlapping(results: Results, scored: list[dict]) -> list[str]:
    """A sentence where models of one method were merged from the same training runs."""
    shown = {candidate_in(row) for row in scored}
    methods = [c.method for c, rows in results.by_candidate().items() if c in shown and shared_runs(rows)]
    return [
        f"Models of {labels.method(method)} were merged from training runs that they share: they are not independent, so their errors "
        "hold the runs fixed, and their comparisons are about these models. Merge each training run into one model only."
        for method in dict.fromkeys(methods)
    ]


def _few_runs(comparisons: list[dict]) -> list[str]:
    """What three or four runs cannot show; the rates are those of benchmarks/false_verdicts.py."""
    rows = [row for row in comparisons if row.get("about_methods") and _fewest_runs(row) < ENOUGH_RUNS]
    if not rows:
        return []
    here = dict.fromkeys(
        f"{labels.method(row[f'method_{side}'])} against {labels.method(row[f'method_{other}'])} ({labels.split(row['split'])})"
        for row in rows
        for side, other in ("ab", "ba")
        if row["runs_differ_alone"] == side
    )
    return [
        "Three or four training runs show little of how much runs differ: at a nominal 5 %, equal methods are called different in "
        "3 to 6 % of simulated studies, and in up to 8 % where the other method has far more runs, or where the runs of one differ "
        "far more than the other's." + (f" The observed runs differ so for {'; '.join(here)}." if here else "")
    ]


def _fewest_runs(row: dict) -> int:
    """Runs of the method that has fewer; a given model has none."""
    runs = [row[f"runs_{side}"] for side in "ab" if row[f"method_{side}"] not in UNTRAINED]
    return min(runs, default=ENOUGH_RUNS)


def _unread(results: Results, row: dict) -> str:
    """A sentence where every episode of a method ended because no answer could be read."""
    mine = [
        episode
        for episode in results.rows
        if episode["split"] == row["split"]
        and candidate_in(episode) == candidate_in(row)
        and episode["status"] == "done"
    ]
    if not mine or any(episode["error_class"] != "parse" for episode in mine):
        return ""
    retries = sum(episode["parse_retries"] or 0 for episode in mine)
    return (
        f"All {len(mine)} episodes of {labels.method(row['method'])} ({_where(row)}) ended because no answer could be "
        f"read, with {retries or 'no'} {'retry' if retries == 1 else 'retries'}: a difference from it may show the answer format only."
    )


def _all_alike(results: Results) -> bool:
    return len({row["reward"] for row in done(results.rows)}) < 2


def _bound(row: dict) -> str:
    # runs of one (task, seed) are not independent
    bound = ceil(1000 * sample_size.rate_above_none(row["task_seeds"])) / 10
    of = f" of {row['task_seeds']} (task, seed)" if row["task_seeds"] < row["n"] else ""
    return f"{labels.method(row['method'])} ({_where(row)}: {row['n']} episodes{of}, a rate below {bound:g}%)"


def _where(row: dict) -> str:
    return ", ".join(part for part in (labels.split(row["split"]), row["agent"]) if part)


def _same_weights(results: Results) -> list[str]:
    """Models of several methods whose weights are the same to the bit, so that their episodes are too."""
    models: dict[str, dict[str, str]] = {}
    for row in results.rows:
        if weights := weights_of(row):
            run = "" if row["run_seed"] is None else f"run {row['run_seed']}"
            weight = "" if row["merge_lambda"] is None else f"λ {row['merge_lambda']:g}"
            name = ", ".join(part for part in (labels.method(row["method"]), weight, run) if part)
            models.setdefault(weights, {}).setdefault(row["method"], name)
    shared = {tuple(names.values()) for names in models.values() if len(names) > 1}
    return [f"{' and '.join(names)} have the same weights: their scores are one model's." for names in sorted(shared)]


def about_traces(pages: Pages) -> list[str]:
    """What the trace pages leave out or hold."""
    found = []
    if pages.unreadable:
        found.append(
            f"{pages.unreadable} traces cannot be read: their episodes have no page and are in no count of loops."
        )
    if pages.left_out:
        found.append(f"{pages.left_out} more traces have no page here; --traces sets how many are written.")
    if pages.screenshots:
        found.append(
            f"The trace pages hold {pages.screenshots} unchanged screenshots, while texts had their secrets replaced: check the "
            "screenshots before you share this folder."
        )
    return found
