"""Conduct a study: plan it, run what is missing or crashed, say how it went. Running it again goes on where it stopped."""

import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from agentmerge_hub import manifest
from agentmerge_hub.agents import check, cluster, results, runner, standing, study
from agentmerge_hub.agents.plan import Episode, Plan, plan
from agentmerge_hub.agents.recipe import Recipe, read
from agentmerge_hub.agents.watch import BudgetSpent, Watch
from agentmerge_hub.errors import UserError

MARK = "recipe.yaml"
"""Written first: a folder that has it is a study's, finished or not, and may be gone on with."""


def collect(recipe_path: Path, out: Path) -> dict[str, int]:
    """Run a recipe; the traces lie under `out` as AgentLab writes them. Returns counts by status."""
    started = time.time() - _earlier_seconds(out)
    recipe, planned = _begin(recipe_path, out)
    _run(planned, out, "collect")
    there = standing.found(out)
    statuses = [there[e.run.exp_id].status if e.run.exp_id in there else "missing" for e in planned.distinct()]
    counts = {status: statuses.count(status) for status in ("done", "crashed", "missing")}
    manifest.write(out, "collect", config=_config(recipe), counts=counts, started=started)
    return counts


def evaluate(recipe_path: Path, out: Path) -> dict[str, int]:
    """Run a recipe and write results.parquet beside its traces. Returns counts by status."""
    started = time.time() - _earlier_seconds(out)
    recipe, planned = _begin(recipe_path, out)
    _run(planned, out / "traces", "evaluate")
    counts = results.write(planned, out)
    inputs = {candidate.name: Path(candidate.path) for candidate in recipe.candidates if candidate.path}
    manifest.write(out, "evaluate", inputs=inputs, config=_config(recipe), counts=counts, started=started)
    return counts


def dry_run(recipe_path: Path) -> list[str]:
    """What a recipe would run and what is missing, a line each."""
    recipe = read(recipe_path)
    planned = plan(recipe, hashed=False)
    numbers = Counter(
        (episode.candidate.name, episode.agent_name, episode.group.split, episode.run.env_args.task_name)
        for episode in planned.episodes
    )
    lines = [f"{' · '.join(names)}: {number} episodes" for names, number in numbers.items()]
    lines.append(f"{len(planned.episodes)} episodes of {len({names[3] for names in numbers})} tasks")
    return lines + [f"missing: {sentence}" for sentence in check.missing(recipe)]


def _earlier_seconds(out: Path) -> float:
    """What a finished study has taken already: run again for what crashed, its manifest tells the whole time."""
    return manifest.read(out)["run"]["seconds"] or 0.0 if (out / manifest.NAME).is_file() else 0.0


def _begin(recipe_path: Path, out: Path) -> tuple[Recipe, Plan]:
    """Read and check everything, then make `out` this study's folder, or find that it is one already.

    Raises:
        UserError: before anything is written.
    """
    recipe = read(recipe_path)
    if out.exists() and not (out.is_dir() and ((out / MARK).is_file() or not any(out.iterdir()))):
        raise UserError(f"{out} already exists and is no study's folder: choose another place or move it away")
    planned = plan(recipe, hashed=False)
    if sentences := check.missing(recipe):
        raise UserError(sentences[0])
    planned = plan(recipe)
    out.mkdir(parents=True, exist_ok=True)
    (out / manifest.NAME).unlink(missing_ok=True)
    if recipe_path.resolve() != (out / MARK).resolve():
        shutil.copyfile(recipe_path, out / MARK)
    return recipe, planned


def _config(recipe: Recipe) -> dict:
    """The recipe for the manifest; an endpoint's address may be private."""
    return {"recipe": recipe.model_dump(mode="json", exclude={"endpoint", "api_key_variable", "ray_address"})}


def _run(planned: Plan, root: Path, what: str) -> None:
    """Run what is not done; what crashes, `retries` times more."""
    recipe = planned.recipe
    root.mkdir(parents=True, exist_ok=True)
    place = study.folder(planned, root)
    episodes = planned.distinct()
    start = time.monotonic()
    try:
        for _ in range(recipe.retries + 1):
            left = _left(episodes, root)
            if not left:
                break
            watch = Watch(recipe, len(episodes), len(left), standing.found(root).values(), what=what, start=start)
            for batch in study.sessions(recipe, left):
                _run_batch(recipe, [episode.run for episode in batch], place, watch)
    except BudgetSpent as spent:
        print(spent, file=sys.stderr)


def _run_batch(recipe: Recipe, runs: list, place: Path, watch: Watch) -> None:
    # GenericAgent draws on each screenshot, whether its model sees it or not.
    screenshots = recipe.screenshots or any(agent.generic for agent in recipe.agents)
    how = {"step_seconds": recipe.step_seconds, "screenshots": screenshots, "ended": watch.ended}
    if recipe.backend == "ray":
        cluster.run_all(runs, place, address=recipe.ray_address, jobs=recipe.jobs, **how)
    else:
        runner.run_all(runs, place, jobs=recipe.jobs, **how)


def _left(episodes: list[Episode], root: Path) -> list[Episode]:
    """Episodes that are not done; what a crashed or interrupted one left is removed, so that none stands twice."""
    there = standing.found(root)
    left = []
    for episode in episodes:
        earlier = there.get(episode.run.exp_id)
        if earlier is not None and earlier.status == "done":
            continue
        if earlier is not None:
            shutil.rmtree(earlier.folder)
        episode.run.exp_dir = None
        left.append(episode)
    return left
