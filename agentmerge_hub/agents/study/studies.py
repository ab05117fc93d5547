"""Run a study: plan it, run what is missing or crashed, write its manifest. Running it again continues it."""

import contextlib
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.agents.backends import process_backend, ray_backend
from agentmerge_hub.agents.recipes.recipe import Recipe, read
from agentmerge_hub.agents.serving.sessions import served_batches
from agentmerge_hub.agents.status import run_status
from agentmerge_hub.agents.status.progress import BudgetSpent, Progress
from agentmerge_hub.agents.status.same_study import changed_arguments, check_same_study
from agentmerge_hub.agents.status.study_info import RECIPE_NAME, count_removed, read_info, verb_of, write_info
from agentmerge_hub.agents.study import preflight, results
from agentmerge_hub.agents.study.agentlab_study import save_study
from agentmerge_hub.agents.study.plan import Episode, Plan, plan
from agentmerge_hub.agents.study.warnings import list_warnings
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.atomic_write import write_text
from agentmerge_hub.files.locks import is_empty, lock_folder
from agentmerge_hub.files.output_folder import check_not_input
from agentmerge_hub.plural import counted


def run_collect(recipe_path: str | Path, out: str | Path) -> dict[str, int]:
    """Run a recipe; the traces are written under `out` in AgentLab's layout. Returns counts by status."""
    recipe_path, out = Path(recipe_path), Path(out)
    recipe, planned = _plan_and_check(recipe_path, out, "collect")
    with _study_folder(recipe_path, out, planned, "collect") as started:
        _run(planned, out, out, "collect")
        runs = run_status.list_runs(out)
        statuses = [runs[e.run.exp_id].status if e.run.exp_id in runs else "missing" for e in planned.distinct()]
        counts = {status: statuses.count(status) for status in ("done", "crashed", "missing")}
        manifest.write(out, "collect", config=_config(recipe), counts=counts, started=started)
    return counts


def run_evaluate(recipe_path: str | Path, out: str | Path) -> dict[str, int]:
    """Run a recipe and write results.parquet beside its traces. Returns counts by status."""
    recipe_path, out = Path(recipe_path), Path(out)
    recipe, planned = _plan_and_check(recipe_path, out, "evaluate")
    with _study_folder(recipe_path, out, planned, "evaluate") as started:
        try:
            _run(planned, out, out / "traces", "evaluate")
        except UserError:  # the study stopped: what has ended is scored all the same
            results.write(planned, out)
            raise
        counts = results.write(planned, out)
        # Behind an endpoint, nothing shows that a folder's weights are served.
        served = [candidate for candidate in recipe.candidates if candidate.path and not recipe.endpoint]
        inputs = {candidate.name: Path(candidate.path) for candidate in served}
        manifest.write(out, "evaluate", inputs=inputs, config=_config(recipe), counts=counts, started=started)
    return counts


@dataclass(frozen=True)
class DryRun:
    """What a run would do."""

    lines: list[str]
    """Its episodes, warnings, and what is missing."""
    problems: list[str]
    """Why it would be refused; empty if it would start."""


def dry_run(recipe_path: Path, out: Path | None = None, verb: str = "evaluate") -> DryRun:
    """Plan a recipe and check what its episodes need; nothing is written.

    Args:
        out: the folder that the run would write; not checked if None.
        verb: ``collect`` or ``evaluate``.
    """
    recipe = read(recipe_path)
    planned = plan(recipe, hashed=False)
    numbers = Counter(
        (episode.candidate.name, episode.agent_name, episode.group.split, episode.run.env_args.task_name)
        for episode in planned.episodes
    )
    lines = [f"{' · '.join(names)}: {counted(number, 'episode')}" for names, number in numbers.items()]
    tasks = counted(len({names[3] for names in numbers}), "task")
    lines.append(f"{counted(len(planned.episodes), 'episode')} of {tasks}")
    lines += [f"warning: {warning}" for warning in list_warnings(planned, verb)]
    problems = preflight.list_problems(recipe)
    try:
        if out is not None:
            _check_output(recipe, out, verb)
        if out is not None and out.is_dir() and not problems:
            planned = plan(recipe)
            check_same_study(recipe_path, planned, out)
            lines += [f"warning: {warning}" for warning in changed_arguments(recipe, out)]
            lines += _ended(planned, out if verb == "collect" else out / "traces")
    except UserError as error:
        problems.append(str(error))
    return DryRun(lines + [f"missing: {problem}" for problem in problems], problems)


def _ended(planned: Plan, traces: Path) -> list[str]:
    """A line on the episodes that an earlier run ended; none if there are none."""
    runs, episodes = run_status.list_runs(traces), planned.distinct()
    done = sum(e.run.exp_id in runs and runs[e.run.exp_id].status == "done" for e in episodes)
    return [f"{done} of them done, {counted(len(episodes) - done, 'episode')} left to run"] if done else []


def _earlier_seconds(out: Path) -> float:
    """Seconds that a finished study has taken: a run that repeats its crashed episodes adds to them."""
    return manifest.read(out)["run"]["seconds"] or 0.0 if (out / manifest.NAME).is_file() else 0.0


def _plan_and_check(recipe_path: Path, out: Path, verb: str) -> tuple[Recipe, Plan]:
    """Read and check everything.

    Raises:
        UserError: before anything is written.
    """
    recipe = read(recipe_path)
    _check_output(recipe, out, verb)
    planned = plan(recipe, hashed=False)
    if problems := preflight.list_problems(recipe):
        raise UserError(problems[0])
    for warning in [*list_warnings(planned, verb), *changed_arguments(recipe, out)]:
        print(f"warning: {warning}", file=sys.stderr)
    planned = plan(recipe)
    check_same_study(recipe_path, planned, out)
    for args in {id(e.run.agent_args): e.run.agent_args for e in planned.episodes}.values():
        args.prepare()
    return recipe, planned


def _check_output(recipe: Recipe, out: Path, verb: str) -> None:
    """Raise UserError unless the folder is new or a study's of this verb, and no candidate is inside."""
    if out.exists() and not (out.is_dir() and ((out / RECIPE_NAME).is_file() or is_empty(out))):
        raise UserError(f"{out} already exists and is not a study's folder: choose another folder or move it away")
    if (earlier := verb_of(out)) not in (None, verb):
        raise UserError(f"{out} is a study of `{earlier}`: choose another folder for `{verb}`")
    check_not_input(out, [Path(candidate.path) for candidate in recipe.candidates if candidate.path])


@contextlib.contextmanager
def _study_folder(recipe_path: Path, out: Path, planned: Plan, verb: str) -> Iterator[float]:
    """Be the only writer in the study's folder, which is created, or continued if it exists.

    Yields:
        time.time() at the start, less the time that the study took before.
    """
    with lock_folder(out, verb):
        started = time.time() - _earlier_seconds(out)
        if recipe_path.resolve() != (out / RECIPE_NAME).resolve():
            write_text(out / RECIPE_NAME, recipe_path.read_text(encoding="utf-8"))
        (out / manifest.NAME).unlink(missing_ok=True)
        write_info(planned, out, verb)
        yield started


def _config(recipe: Recipe) -> dict:
    """The recipe for the manifest, without the endpoint's address, which may be private."""
    return {"recipe": recipe.model_dump(mode="json", exclude={"endpoint", "api_key_variable", "ray_address"})}


def _run(planned: Plan, out: Path, root: Path, verb: str) -> None:
    """Run what is not done, and crashed episodes `retries` times more; their traces are written under `root`."""
    recipe = planned.recipe
    root.mkdir(parents=True, exist_ok=True)
    study_dir = save_study(planned, root)
    episodes = planned.distinct()
    start = time.monotonic()
    try:
        for _ in range(recipe.retries + 1):
            left = _remove_unfinished(episodes, out, root)
            if not left:
                break
            tokens = sum(run.tokens for run in run_status.list_runs(root).values()) + read_info(out).removed_tokens
            progress = Progress(recipe, len(episodes), len(left), tokens, verb=verb, start=start)
            for batch in served_batches(recipe, left):
                _run_batch(recipe, [episode.run for episode in batch], study_dir, progress)
    except BudgetSpent as spent:
        print(spent, file=sys.stderr)
    if recipe.endpoint:
        _warn_of_other_models(episodes, run_status.list_runs(root))


def _warn_of_other_models(episodes: list[Episode], runs: dict[str, run_status.RunStatus]) -> None:
    """Say where an endpoint named another model in its answers than it was asked for. Some names are aliases, which nothing shows."""
    found = Counter(
        (episode.candidate.path or episode.candidate.model, name)
        for episode in episodes
        if episode.run.exp_id in runs
        for name in runs[episode.run.exp_id].answered_as
    )
    for (asked, name), number in found.items():
        print(
            f"warning: asked for {asked!r}, the endpoint answered as {name!r} in {counted(number, 'episode')}: unless these are names of "
            "one model, another model acted",
            file=sys.stderr,
        )


def _run_batch(recipe: Recipe, runs: list, study_dir: Path, progress: Progress) -> None:
    # GenericAgent draws on every screenshot, whether its model sees it or not.
    screenshots = recipe.screenshots or any(agent.generic or agent.uses_screenshot for agent in recipe.agents)
    common: dict[str, Any] = {"step_seconds": recipe.step_seconds, "screenshots": screenshots, "ended": progress.ended}
    if recipe.backend == "ray":
        ray_backend.run_episodes(runs, study_dir, address=recipe.ray_address, jobs=recipe.jobs, **common)
    else:
        process_backend.run_episodes(runs, study_dir, jobs=recipe.jobs, **common)


def _remove_unfinished(episodes: list[Episode], out: Path, root: Path) -> list[Episode]:
    """The episodes that are not done. The folders of crashed and interrupted runs are removed: they are run again."""
    runs = run_status.list_runs(root)
    done = {exp_id for exp_id, run in runs.items() if run.status == "done"}
    left = [episode for episode in episodes if episode.run.exp_id not in done]
    unfinished = [runs[episode.run.exp_id] for episode in left if episode.run.exp_id in runs]
    if unfinished:
        count_removed(unfinished, out)
    for run in unfinished:
        shutil.rmtree(run.folder)
    for episode in left:
        episode.run.exp_dir = None
    return left
