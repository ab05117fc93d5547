"""Result folders in, one folder out: report.html with its figures and tables inside, and each of them as a file beside it."""

import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.analysis import choice, comparisons, episodes, figures, findings, labels, lineage, page, tables
from agentmerge_hub.errors import UserError

STAGE = "analyse"


@dataclass(frozen=True)
class Options:
    """What a reader can choose; all of it stands in the report's command."""

    method: str = "agentmerge"
    benchmark: str | None = None
    validation_tasks: tuple[str, ...] = ()
    draws: int = 10_000
    seed: int = 0
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def command(self, folders: list[Path], out: Path) -> str:
        """The command that makes this report again."""
        words = ["agentmerge", "analyse", *map(str, folders), "-o", str(out), "--method", self.method]
        words += ["--benchmark", self.benchmark] if self.benchmark else []
        words += [word for task in self.validation_tasks for word in ("--validation-task", task)]
        words += ["--draws", str(self.draws), "--seed", str(self.seed)]
        return shlex.join(words)


def write(folders: list[Path], out: Path, options: Options) -> list[dict]:
    """Write the report; returns the rows of Table 1.

    Raises:
        UserError: if the results can't be read or `out` is taken.
    """
    started = time.time()
    manifest.check_replaceable(out, STAGE)
    results = episodes.read(folders, options.benchmark, options.validation_tasks)
    notes: list[str] = []
    focus = _focus(results, options.method, notes)
    chosen = choice.choose(results)
    scored = tables.table1(results, chosen.candidates)
    compared = comparisons.table(results, chosen.candidates, focus, draws=options.draws, seed=options.seed)
    tasks = tables.by_task(results, chosen.candidates)
    nodes = lineage.tree(folders)
    stages = lineage.stages(nodes)
    names = labels.candidates(chosen.candidates)
    with manifest.new_folder(out, STAGE) as folder:
        written = {
            "table1": scored,
            "comparisons": compared,
            "candidates": tables.table1(results),
            "chosen": chosen.table,
            "by_task": tasks,
            "stages": stages,
        }
        for name, rows in written.items():
            tables.write(folder, name, rows)
        pictures = [
            figures.scores(folder, scored, names),
            figures.differences(folder, compared, focus),
            figures.heat_map(folder, tasks, names, "category"),
            figures.heat_map(folder, tasks, names, "task"),
        ]
        page.write(
            folder / "report.html",
            "report.html.jinja",
            title=f"{labels.method(focus)} on {results.benchmark}",
            command=options.command(folders, out),
            verdicts=findings.verdicts(compared, focus),
            limits=findings.limits(results, scored, compared, notes + chosen.notes),
            scored=scored,
            compared=compared,
            focus=focus,
            pictures={picture.name: picture for picture in pictures if picture},
            nodes=nodes,
            stages=stages,
            files=sorted(path.name for path in folder.iterdir()),
        )
        counts = {"episodes": len(results.rows), "candidates": len(results.by_candidate())}
        manifest.write(
            folder,
            STAGE,
            inputs=_inputs(folders),
            config={"command": options.command(folders, out)},
            counts=counts,
            started=started,
        )
    return scored


def _inputs(folders: list[Path]) -> dict[str, Path]:
    if len(folders) == 1:
        return {"results": folders[0]}
    return {f"results_{number}": folder for number, folder in enumerate(folders, 1)}


def _focus(results: episodes.Results, wanted: str, notes: list[str]) -> str:
    """The method the report is about; where the default is absent, the last in the table, and the reader is told."""
    methods = list(dict.fromkeys(candidate.method for candidate in results.by_candidate()))
    if wanted in methods:
        return wanted
    if wanted != Options.method:
        raise UserError(f"--method {wanted!r} is not in the results, which hold {', '.join(sorted(methods))}")
    last = sorted(methods)[-1]
    notes.append(f"There is no method {wanted!r} in these results: {last!r} is compared instead (--method chooses).")
    return last
