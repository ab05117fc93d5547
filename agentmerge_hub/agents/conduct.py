"""Conduct a study: plan it, run what is missing or crashed, say how it went. Running it again goes on where it stopped."""

import shutil
import time
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.agents import results, runner, study
from agentmerge_hub.agents.progress import Progress
from agentmerge_hub.agents.recipe import Recipe, read
from agentmerge_hub.errors import UserError

MARK = "recipe.yaml"
"""Written first: a folder that has it is a study's, finished or not, and may be gone on with."""


def collect(recipe_path: Path, out: Path) -> dict[str, int]:
    """Run a recipe; the traces lie under `out` as AgentLab writes them. Returns counts by status."""
    started = time.time()
    recipe = read(recipe_path)
    planned = study.plan(recipe)
    _claim(recipe_path, out)
    counts = _run(planned, out, "collect")
    manifest.write(out, "collect", config={"recipe": recipe.model_dump(mode="json")}, counts=counts, started=started)
    return counts


def evaluate(recipe_path: Path, out: Path) -> dict[str, int]:
    """Run a recipe and write results.parquet beside its traces. Returns counts by status."""
    started = time.time()
    recipe = read(recipe_path)
    planned = study.plan(recipe)
    _claim(recipe_path, out)
    try:
        _run(planned, out / "traces", "evaluate")
    finally:
        counts = results.write(planned, out)
    inputs = {candidate.name: Path(candidate.path) for candidate in recipe.candidates if candidate.path}
    config = {"recipe": recipe.model_dump(mode="json")}
    manifest.write(out, "evaluate", inputs=inputs, config=config, counts=counts, started=started)
    return counts


def _claim(recipe_path: Path, out: Path) -> None:
    """Make `out` this study's folder, or find that it is one already."""
    if out.exists() and not (out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir()))):
        raise UserError(f"{out} already exists and is no study's folder: choose another place or move it away")
    out.mkdir(parents=True, exist_ok=True)
    (out / manifest.NAME).unlink(missing_ok=True)
    shutil.copyfile(recipe_path, out / MARK)


def _run(planned: study.Plan, root: Path, what: str) -> dict[str, int]:
    """Run what is not done, the crashed ones `retries` times more."""
    recipe: Recipe = planned.recipe
    root.mkdir(parents=True, exist_ok=True)
    place = study.folder(planned, root)
    counts: dict[str, int] = {}
    for _ in range(recipe.retries + 1):
        standing = study.found(root)
        left = []
        for run in planned.runs():
            earlier = standing.get(study.key_of(run))
            if earlier is not None and earlier.status == "done":
                continue
            if earlier is not None:
                shutil.rmtree(earlier.exp_dir)
            run.exp_dir = None
            left.append(run)
        if not left:
            break
        progress = Progress(len(planned.runs()), len(planned.runs()) - len(left), what=what)
        for batch in study.sessions(recipe, left):
            runner.run_all(
                batch,
                place,
                jobs=recipe.jobs,
                step_seconds=recipe.step_seconds,
                screenshots=recipe.screenshots,
                ended=lambda run: progress.ended(crashed=runner.status(run) != "done", success=runner.reward(run) > 0),
            )
    standing = study.found(root)
    for run in planned.runs():
        result = standing.get(study.key_of(run))
        status = "missing" if result is None else "done" if result.status == "done" else "crashed"
        counts[status] = counts.get(status, 0) + 1
    return counts
