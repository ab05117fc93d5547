"""Result folders in, one folder out: report.html with its figures and tables inside, and each of them as a file too."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.analysis import (
    comparison_table,
    episodes,
    error_analysis,
    every_eval_ever,
    forgetting,
    labels,
    likelihood,
    selection,
    tables,
)
from agentmerge_hub.analysis.candidates import Candidate, candidate_in
from agentmerge_hub.analysis.common_episodes import shared_episodes
from agentmerge_hub.analysis.episodes import Results
from agentmerge_hub.analysis.figures import error_rates, heat_map, lambda_curve, learning_curves, scores
from agentmerge_hub.analysis.planning import plan_file, published_table1
from agentmerge_hub.analysis.report import explanations, html, html_tables, limits, lineage, trace_pages, verdicts
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash, output_folder

STAGE = "analyse"


@dataclass(frozen=True)
class Options:
    """Options of `agentmerge analyse`; the command that the report prints repeats all of them."""

    method: str = "agentmerge"
    benchmark: str | None = None
    validation_tasks: tuple[str, ...] = ()
    choose_on: str = "validation"
    likelihood: tuple[str, ...] = ()
    lm_eval: tuple[str, ...] = ()
    plan_file: Path | None = None
    organization: str | None = None
    """Publisher named in the records of Every Eval Ever; None writes no records."""
    traces: int = 300
    draws: int = 2_000
    seed: int = 0

    def command(self, folders: list[Path], out: Path) -> str:
        """The command that makes this report again."""
        words = ["agentmerge", "analyse", *map(str, folders), "-o", str(out), "--method", self.method]
        words += ["--benchmark", self.benchmark] if self.benchmark else []
        words += [word for task in self.validation_tasks for word in ("--validation-task", task)]
        words += ["--choose-on", self.choose_on] if self.choose_on != Options.choose_on else []
        words += [word for pair in self.likelihood for word in ("--likelihood", pair)]
        words += [word for pair in self.lm_eval for word in ("--lm-eval", pair)]
        words += ["--plan", str(self.plan_file)] if self.plan_file else []
        words += ["--eee", self.organization] if self.organization else []
        return shlex.join([*words, "--traces", str(self.traces), "--draws", str(self.draws), "--seed", str(self.seed)])

    def inputs(self, folders: list[Path]) -> dict[str, Path]:
        """Files and folders that the report reads, for its manifest."""
        found = {f"results_{number}" if number > 1 else "results": path for number, path in enumerate(folders, 1)}
        files = [likelihood.parse(word)[1] for word in self.likelihood]
        found |= {f"likelihood_{number}": path for number, path in enumerate(files, 1)}
        found |= {f"lm_eval_{number}": path for number, path in enumerate(forgetting.parse(self.lm_eval).values(), 1)}
        return found | ({"plan": self.plan_file} if self.plan_file else {})


@dataclass(frozen=True)
class Written:
    """What the terminal shows of a report."""

    table1: list[dict]
    answer: str
    plan: str
    """Whether the plan was kept, and its decision; empty without a plan."""


def write(evaluations: Sequence[str | Path], out: str | Path, options: Options | None = None) -> Written:
    """Write the report on results.

    Args:
        evaluations: folders that `evaluate` wrote.
        out: the folder of the report.
        options: what the report compares and shows.

    Raises:
        UserError: if an input cannot be read or `out` is taken.
    """
    folders, out = [Path(folder) for folder in evaluations], Path(out)
    options = options or Options()
    started = time.time()
    inputs = options.inputs(folders)
    output_folder.check_not_input(out, inputs.values())
    output_folder.check_replaceable(out, STAGE)
    plan = plan_file.read(options.plan_file) if options.plan_file else None
    results = episodes.read(folders, options.benchmark, options.validation_tasks)
    general = forgetting.table(forgetting.parse(options.lm_eval))
    expert = likelihood.summarise(options.likelihood, results.rows)
    notes: list[str] = []
    focus = _focus(results, options.method, notes)
    chosen = selection.choose(results, options.choose_on)
    shared, unequal = shared_episodes(results, chosen.candidates)
    notes += chosen.notes + unequal
    compared = comparison_table.table(
        results,
        chosen.candidates,
        focus,
        shared,
        chosen.chosen,
        options.choose_on,
        draws=options.draws,
        seed=options.seed,
    )
    outcome = plan_file.compare(plan, compared) if plan else None
    answer = verdicts.answer(compared, focus, results)
    nodes = lineage.tree(folders)
    with output_folder.new_folder(out, STAGE, inputs.values()) as folder:
        pages = trace_pages.write(folder, results.rows, options.traces)
        trace_pages.write_lists(folder, results, pages, chosen.candidates, shared)
        notes += limits.about_traces(pages)
        found = {
            "table1": tables.table1(results, chosen.candidates, shared),
            "comparisons": compared,
            "candidates": tables.table1(results),
            "along_training": learning_curves.table(results, chosen.candidates),
            "lambda_curve": lambda_curve.table(results, focus, chosen.table),
            "chosen": chosen.table,
            "by_task": tables.by_task(results, chosen.candidates, shared),
            "behaviour": error_analysis.table(results, chosen.candidates, shared),
            "likelihood": expert,
            "forgetting": general,
            "paper_table1": published_table1.table(),
            "stages": lineage.stages(nodes),
            "episodes": tables.episodes(results, pages.names, trace_pages.key_of),
        }
        for name, rows in found.items():
            tables.write(folder, name, rows)
        if options.organization:
            every_eval_ever.write(folder / "every_eval_ever", results, options.organization, started)
        pictures = {picture.name: picture for picture in _pictures(folder, found, focus, chosen.candidates)}
        html.write(
            folder / "report.html",
            "report.html.jinja",
            title=f"{labels.method(focus)} on {results.benchmark}",
            command=options.command(folders, out),
            answer=answer,
            plan=outcome.sentence if outcome else "",
            verdicts=verdicts.verdicts(compared, focus),
            limits=limits.limits(results, found["table1"], compared, notes),
            explanations=explanations.sentences(compared, found["behaviour"], found["by_task"]),
            focus=focus,
            pictures=pictures,
            measures=error_analysis.MEASURES,
            tables=_tables(found, focus, options.choose_on),
            error_rates=_error_rates(found["behaviour"], focus),
            nodes=nodes,
            files=sorted(path.name for path in folder.iterdir() if path.suffix in (".csv", ".parquet", ".svg", ".png")),
        )
        manifest.write(
            folder,
            STAGE,
            inputs=inputs,
            config={"command": options.command(folders, out), **_plan_hash(options.plan_file)},
            counts={"episodes": len(results.rows), "candidates": len(results.by_candidate())},
            started=started,
        )
    return Written(found["table1"], answer, outcome.sentence if outcome else "")


def _plan_hash(path: Path | None) -> dict[str, str]:
    """The sha256 of the plan file, by which a reader can check that the plan is the one that was registered."""
    return {"plan_sha256": content_hash.file_hash(path)} if path else {}


def _tables(found: dict[str, Any], focus: str, choose_on: str) -> dict[str, html_tables.HtmlTable | None]:
    return {
        "table1": html_tables.table1(found["table1"], focus),
        "comparisons": html_tables.comparisons(found["comparisons"], focus) if found["comparisons"] else None,
        "extremes": html_tables.extremes(found["comparisons"]),
        "chosen": html_tables.chosen(found["chosen"], choose_on) if found["chosen"] else None,
        "forgetting": html_tables.forgetting(found["forgetting"]) if found["forgetting"] else None,
        "published": html_tables.published(found["paper_table1"]),
        "stages": html_tables.stages(found["stages"], html.duration),
    }


def _error_rates(rows: list[dict], focus: str) -> list[tuple[str, html_tables.HtmlTable]]:
    """A table of error rates for each split."""
    splits = dict.fromkeys(row["split"] for row in rows)
    return [
        (labels.split(split), html_tables.error_rates([row for row in rows if row["split"] == split], focus))
        for split in splits
    ]


def _pictures(folder: Path, found: dict[str, Any], focus: str, chosen: list[Candidate]) -> list[Any]:
    along = found["along_training"]
    acts = [row for row in found["behaviour"] if learning_curves.at_its_lambda(candidate_in(row), chosen)]
    drawn = [
        *scores.for_each_agent(folder, found["table1"], found["comparisons"], focus),
        *heat_map.for_each_agent(folder, found["by_task"]),
        lambda_curve.draw_lambda(folder, found["lambda_curve"], found["chosen"], focus),
        *error_rates.along_training(folder, acts, (labels.BASELINE, focus)),
        *learning_curves.learning_curves(folder, along, found["likelihood"]),
        *learning_curves.merged_against(folder, along, focus, labels.BASELINE),
    ]
    return [picture for picture in drawn if picture is not None]


def _focus(results: Results, method: str, notes: list[str]) -> str:
    """The method the report is about; where the default is absent, the last in the table, with a note."""
    methods = sorted({candidate.method for candidate in results.by_candidate()}, key=labels.rank)
    if labels.canonical(method) in methods:
        return labels.canonical(method)
    if method != Options.method:
        raise UserError(f"--method {method!r} is not in the results, which hold {', '.join(methods)}")
    last = methods[-1]
    notes.append(f"There is no method {method!r} in these results: {last!r} is compared instead (--method chooses).")
    return last
