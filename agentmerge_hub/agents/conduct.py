"""Conduct a study: plan it, run what is missing or crashed, say how it went. Running it again goes on where it stopped."""

import shutil
import time
from collections import Counter
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.agents import check, results, runner, standing, study
from agentmerge_hub.agents.progress import Progress
from agentmerge_hub.agents.recipe import Recipe, read
from agentmerge_hub.errors import UserError

MARK = "recipe.yaml"
"""Written first: a folder that has it is a study's, finished or not, and may be gone on with."""

GIVE_UP_AFTER = 6
"""Crashes in a row that no longer look like bad luck: the endpoint or the browser is gone."""


def collect(recipe_path: Path, out: Path) -> dict[str, int]:
    """Run a recipe; the traces lie under `out` as AgentLab writes them. Returns counts by status."""
    started = time.time()
    recipe, planned = _begin(recipe_path, out)
    _run(planned, out, "collect")
    counts = _counts(planned, out)
    manifest.write(out, "collect", config=_config(recipe), counts=counts, started=started)
    return counts


def evaluate(recipe_path: Path, out: Path) -> dict[str, int]:
    """Run a recipe and write results.parquet beside its traces. Returns counts by status."""
    started = time.time()
    recipe, planned = _begin(recipe_path, out)
    _run(planned, out / "traces", "evaluate")
    counts = results.write(planned, out)
    inputs = {candidate.name: Path(candidate.path) for candidate in recipe.candidates if candidate.path}
    manifest.write(out, "evaluate", inputs=inputs, config=_config(recipe), counts=counts, started=started)
    return counts


def dry_run(recipe_path: Path) -> list[str]:
    """What a recipe would run and what is missing, a line each."""
    recipe = read(recipe_path)
    planned = study.plan(recipe, hashed=False)
    numbers = Counter(
        (episode.candidate.name, episode.agent_name, episode.group.split, episode.run.env_args.task_name)
        for episode in planned.episodes
    )
    lines = [f"{' · '.join(names)}: {number} episodes" for names, number in numbers.items()]
    lines.append(f"{len(planned.episodes)} episodes of {len({names[3] for names in numbers})} tasks")
    return lines + [f"missing: {sentence}" for sentence in check.missing(recipe)]


def _begin(recipe_path: Path, out: Path) -> tuple[Recipe, study.Plan]:
    """Read and check everything, then make `out` this study's folder, or find that it is one already.

    Raises:
        UserError: before anything is written.
    """
    recipe = read(recipe_path)
    if out.exists() and not (out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir()))):
        raise UserError(f"{out} already exists and is no study's folder: choose another place or move it away")
    if sentences := check.missing(recipe):
        raise UserError(sentences[0])
    planned = study.plan(recipe)
    out.mkdir(parents=True, exist_ok=True)
    (out / manifest.NAME).unlink(missing_ok=True)
    if recipe_path.resolve() != (out / MARK).resolve():
        shutil.copyfile(recipe_path, out / MARK)
    return recipe, planned


def _config(recipe: Recipe) -> dict:
    """The recipe for the manifest; an endpoint's address may be private."""
    return {"recipe": recipe.model_dump(mode="json", exclude={"endpoint", "api_key_variable"})}


def _run(planned: study.Plan, root: Path, what: str) -> None:
    """Run what is not done; what crashes, `retries` times more."""
    root.mkdir(parents=True, exist_ok=True)
    place = study.folder(planned, root)
    runs = planned.runs()
    for _ in range(planned.recipe.retries + 1):
        left = _left(runs, root)
        if not left:
            break
        watch = _Watch(Progress(len(runs), len(runs) - len(left), what=what))
        for batch in study.sessions(planned.recipe, left):
            runner.run_all(
                batch,
                place,
                jobs=planned.recipe.jobs,
                step_seconds=planned.recipe.step_seconds,
                screenshots=planned.recipe.screenshots,
                ended=watch.ended,
            )


def _left(runs: list, root: Path) -> list:
    """Runs that are not done; what a crashed or interrupted one left is removed, so that no episode stands twice."""
    there = standing.found(root)
    left = []
    for run in runs:
        earlier = there.get(run.exp_id)
        if earlier is not None and earlier.status == "done":
            continue
        if earlier is not None:
            shutil.rmtree(earlier.folder)
        run.exp_dir = None
        left.append(run)
    return left


def _counts(planned: study.Plan, root: Path) -> dict[str, int]:
    there = standing.found(root)
    return dict(Counter(there[run.exp_id].status if run.exp_id in there else "missing" for run in planned.runs()))


class _Watch:
    """Shows progress, and stops a study whose episodes all crash."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._crashes = 0

    def ended(self, run: "study.ExpArgs") -> None:
        outcome = standing.read(Path(run.exp_dir))
        crashed = outcome.status != "done"
        self._progress.ended(crashed=crashed, success=outcome.reward > 0)
        self._crashes = self._crashes + 1 if crashed else 0
        if self._crashes >= GIVE_UP_AFTER:
            raise UserError(
                f"the last {GIVE_UP_AFTER} episodes crashed ({outcome.error or 'without a word'}): mend that and run the same command again "
                "to go on"
            )
