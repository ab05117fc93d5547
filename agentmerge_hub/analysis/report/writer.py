"""Result folders in, one folder out: report.html with its figures and tables inside, and each of them as a file too."""

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest, output_folder
from agentmerge_hub.analysis import (
    comparisons,
    episodes,
    error_analysis,
    forgetting,
    labels,
    likelihood,
    selection,
    tables,
)
from agentmerge_hub.analysis.episodes import Results
from agentmerge_hub.analysis.figures import error_rates, heat_map, lambda_curve, learning_curves, scores
from agentmerge_hub.analysis.planning import published_table1, sample_size
from agentmerge_hub.analysis.report import explanations, html, lineage, trace_pages, verdicts
from agentmerge_hub.errors import UserError

STAGE = "analyse"


@dataclass(frozen=True)
class Options:
    """What a reader can choose; all of it stands in the report's command."""

    method: str = "agentmerge"
    benchmark: str | None = None
    validation_tasks: tuple[str, ...] = ()
    choose_on: str = "validation"
    likelihood: tuple[str, ...] = ()
    lm_eval: tuple[str, ...] = ()
    traces: int = 300
    draws: int = 10_000
    seed: int = 0

    def command(self, folders: list[Path], out: Path) -> str:
        """The command that makes this report again."""
        words = ["agentmerge", "analyse", *map(str, folders), "-o", str(out), "--method", self.method]
        words += ["--benchmark", self.benchmark] if self.benchmark else []
        words += [word for task in self.validation_tasks for word in ("--validation-task", task)]
        words += ["--choose-on", self.choose_on] if self.choose_on != Options.choose_on else []
        words += [word for pair in self.likelihood for word in ("--likelihood", pair)]
        words += [word for pair in self.lm_eval for word in ("--lm-eval", pair)]
        return shlex.join([*words, "--traces", str(self.traces), "--draws", str(self.draws), "--seed", str(self.seed)])


def write(folders: list[Path], out: Path, options: Options) -> list[dict]:
    """Write the report; returns the rows of Table 1.

    Raises:
        UserError: if the results can't be read or `out` is taken.
    """
    started = time.time()
    output_folder.check_replaceable(out, STAGE)
    results = episodes.read(folders, options.benchmark, options.validation_tasks)
    general = forgetting.table(forgetting.parse(options.lm_eval))
    expert = likelihood.summarise(options.likelihood, results.rows)
    notes: list[str] = []
    focus = _focus(results, options.method, notes)
    chosen = selection.choose(results, options.choose_on)
    notes += chosen.notes
    compared = comparisons.table(results, chosen.candidates, focus, draws=options.draws, seed=options.seed)
    nodes = lineage.tree(folders)
    with output_folder.new_folder(out, STAGE) as folder:
        pages = trace_pages.write(folder, results.rows, options.traces)
        notes += verdicts.about_traces(pages)
        found = {
            "table1": tables.table1(results, chosen.candidates),
            "comparisons": compared,
            "plan": sample_size.table(compared),
            "candidates": tables.table1(results),
            "along_training": learning_curves.table(results, chosen.candidates),
            "lambda_curve": lambda_curve.table(results, focus),
            "chosen": chosen.table,
            "by_task": tables.by_task(results, chosen.candidates),
            "behaviour": error_analysis.table(results),
            "likelihood": expert,
            "forgetting": general,
            "paper_table1": published_table1.table(),
            "stages": lineage.stages(nodes),
            "episodes": tables.episodes(results, pages.names, trace_pages.key_of),
        }
        for name, rows in found.items():
            tables.write(folder, name, rows)
        html.write(
            folder / "report.html",
            "report.html.jinja",
            title=f"{labels.method(focus)} on {results.benchmark}",
            command=options.command(folders, out),
            verdicts=verdicts.verdicts(compared, focus),
            limits=verdicts.limits(results, found["table1"], compared, notes),
            explanations=explanations.sentences(compared, found["behaviour"], found["by_task"]),
            focus=focus,
            pictures={picture.name: picture for picture in _pictures(folder, found, focus)},
            measures=error_analysis.MEASURES,
            planned=sample_size.wide(found["plan"]),
            lists=trace_pages.write_lists(folder, results, pages),
            nodes=nodes,
            files=sorted(path.name for path in folder.iterdir() if path.suffix in (".csv", ".parquet")),
            **found,
        )
        manifest.write(
            folder,
            STAGE,
            inputs={f"results_{number}" if number > 1 else "results": path for number, path in enumerate(folders, 1)},
            config={"command": options.command(folders, out)},
            counts={"episodes": len(results.rows), "candidates": len(results.by_candidate())},
            started=started,
        )
    return found["table1"]


def _pictures(folder: Path, found: dict[str, Any], focus: str) -> list[Any]:
    along = found["along_training"]
    drawn = [
        *scores.for_each_agent(folder, found["table1"], found["comparisons"], focus),
        *heat_map.for_each_agent(folder, found["by_task"]),
        lambda_curve.draw_lambda(folder, found["lambda_curve"], found["chosen"], focus),
        *error_rates.along_training(folder, found["behaviour"], (labels.BASELINE, focus)),
        *learning_curves.learning_curves(folder, along, found["likelihood"]),
        *learning_curves.merged_against(folder, along, focus, labels.BASELINE),
    ]
    return [picture for picture in drawn if picture is not None]


def _focus(results: Results, wanted: str, notes: list[str]) -> str:
    """The method the report is about; where the default is absent, the last in the table, and the reader is told."""
    methods = sorted({candidate.method for candidate in results.by_candidate()}, key=labels.rank)
    if labels.canonical(wanted) in methods:
        return labels.canonical(wanted)
    if wanted != Options.method:
        raise UserError(f"--method {wanted!r} is not in the results, which hold {', '.join(methods)}")
    last = methods[-1]
    notes.append(f"There is no method {wanted!r} in these results: {last!r} is compared instead (--method chooses).")
    return last
