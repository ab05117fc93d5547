"""A recipe → its episodes: every candidate with every agent config on every task and seed."""

import difflib
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.agents.agent_args import make_agent_args, tasks_without_solver
from agentmerge_hub.agents.browser.agentlab_api import DEFAULT_BENCHMARKS, AgentArgs, Benchmark, EnvArgs, ExpArgs
from agentmerge_hub.agents.cube.environment import CubeEnvArgs
from agentmerge_hub.agents.recipes.recipe import AgentConfig, Candidate, Group, Recipe
from agentmerge_hub.agents.serving.engines import select_engine
from agentmerge_hub.agents.weights import served_hash, settings_hash
from agentmerge_hub.errors import UserError
from agentmerge_hub.prompt import Flags

SILENT = 100
"""A logging level above all others: the console shows the progress line, and AgentLab's messages go to experiment.log."""


@dataclass(frozen=True)
class Episode:
    """One episode of the recipe. Episodes that cannot differ share the `exp_id` of their runs."""

    candidate: Candidate
    agent_name: str
    group: Group
    run: ExpArgs
    weights_hash: str = ""


@dataclass(frozen=True)
class Plan:
    """All episodes of a recipe."""

    recipe: Recipe
    benchmark: Benchmark
    episodes: tuple[Episode, ...]

    def distinct(self) -> list[Episode]:
        """The episodes to run, in order. Identical weights are evaluated once, under their first name."""
        first: dict[str, Episode] = {}
        for episode in self.episodes:
            first.setdefault(episode.run.exp_id, episode)
        return list(first.values())


def plan(recipe: Recipe, *, hashed: bool = True) -> Plan:
    """List the episodes of a recipe.

    Args:
        recipe: the study's recipe.
        hashed: whether to hash the candidates' weights, which a run needs and a dry run does not.

    Raises:
        UserError: for a benchmark, task, split or model folder that does not exist.
    """
    benchmark = _benchmark(recipe.benchmark)
    pairs = [(group, env_args) for group in recipe.episodes for env_args in _env_args(benchmark, group, recipe)]
    _check_repeated(recipe, pairs)
    benchmark.env_args_list = [env_args for _, env_args in pairs]
    unsolvable = tasks_without_solver({env_args.task_name for _, env_args in pairs})
    if unsolvable and any(candidate.scripted for candidate in recipe.candidates):
        raise UserError(f"the scripted expert has no solver for {', '.join(unsolvable)}: leave it out of the recipe")
    hashes = _hash_folders(recipe) if hashed else {}
    episodes = []
    for candidate in recipe.candidates:
        weights, settings = hashes.get(candidate.path, ("", ""))
        for agent in recipe.agents:
            args = make_agent_args(recipe, candidate, agent, benchmark)
            content = _what_decides(recipe, candidate, agent, args) | {"weights": weights, "settings": settings}
            for group, env_args in pairs:
                run = ExpArgs(
                    args,
                    env_args,
                    logging_level_stdout=SILENT,
                    logging_level=30,
                    save_screenshot=recipe.screenshots or agent.uses_screenshot,
                    save_som=agent.flags is not None and agent.flags.use_som,
                )
                run.exp_id = _run_id(content | {"environment": asdict(env_args)})
                episodes.append(Episode(candidate, agent.name, group, run, weights))
    return Plan(recipe, benchmark, tuple(episodes))


def _check_repeated(recipe: Recipe, pairs: list[tuple[Group, EnvArgs]]) -> None:
    """Raise UserError if two groups, which may be splits, have the same episode, or a group names one twice. A benchmark's own
    seeds are drawn and may repeat within a group."""
    given: Counter[tuple[str, int]] = Counter()
    for group in recipe.episodes:
        keys = [(env_args.task_name, env_args.task_seed) for one, env_args in pairs if one is group]
        given.update(set(keys) if group.seeds == "default" else keys)
    if repeated := [key for key, number in given.items() if number > 1]:
        raise UserError(f"the episodes name task {repeated[0][0]} with seed {repeated[0][1]} twice: remove one")


def _hash_folders(recipe: Recipe) -> dict[str, tuple[str, str]]:
    """Hashes of the weights and of the settings of each model folder."""
    folders = {candidate.path for candidate in recipe.candidates if candidate.path}
    engine = select_engine(recipe.engine) if folders and not recipe.endpoint else recipe.engine
    return {path: (served_hash(Path(path), engine), settings_hash(Path(path))) for path in folders}


def _what_decides(recipe: Recipe, candidate: Candidate, agent: AgentConfig, args: AgentArgs) -> dict[str, Any]:
    """What an episode depends on besides the weights and the environment: the model, the prompt and the sampling.

    A folder counts by its content, wherever it is. Flags at their defaults are left out, so that a flag that a later version
    adds changes no run; so is the number of jobs.
    """
    tokenizer = Path(candidate.tokenizer)
    flags = args.flags if isinstance(args.flags, dict) else None
    return {
        "model": candidate.model_dump(include={"model", "revision", "scripted"}),
        "tokenizer": settings_hash(tokenizer) if candidate.tokenizer and tokenizer.is_dir() else candidate.tokenizer,
        "agent": agent.generic if flags is None else Flags(**flags).model_dump(exclude_defaults=True),
        "sampling": recipe.model_dump(include={"window", "answer", "temperature", "max_retry"})
        | recipe.model_dump(include={"dtype"}, exclude_defaults=True)
        | ({"image_tokens": recipe.image_tokens} if agent.uses_screenshot else {}),
        "chat_template": recipe.chat_template_kwargs | candidate.chat_template_kwargs,
    }


def _run_id(content: dict[str, Any]) -> str:
    """AgentLab saves it with the run, so that a later call finds the runs that are done."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


ALIASES = {
    "workarena_l2": "workarena_l2_agent_curriculum_eval",
    "workarena_l3": "workarena_l3_agent_curriculum_eval",
}


def _benchmark(name: str) -> Benchmark:
    name = ALIASES.get(name, name)
    if name not in DEFAULT_BENCHMARKS:
        raise UserError(
            f"there is no benchmark {name!r}: use one of {', '.join(sorted({*DEFAULT_BENCHMARKS, *ALIASES}))}"
        )
    try:
        return DEFAULT_BENCHMARKS[name]()
    except ModuleNotFoundError as error:
        raise UserError(f"the benchmark {name!r} needs the Python module {error.name}: install it") from None


def _env_args(benchmark: Benchmark, group: Group, recipe: Recipe) -> list[EnvArgs]:
    """The environments of a group: the benchmark's own seeds, or each task with each given seed."""
    metadata = benchmark.task_metadata
    prefix = metadata["task_name"].iloc[0].split(".")[0] + "."
    known = {env_args.task_name: env_args.max_steps for env_args in benchmark.env_args_list}
    tasks = [task if task.startswith(prefix) else prefix + task for task in group.tasks] or list(known)
    if unknown := [task for task in tasks if task not in known]:
        near = difflib.get_close_matches(unknown[0], known, 3)
        advice = f"did you mean {', '.join(near)}?" if near else "see `agentmerge collect --dry-run` without tasks"
        raise UserError(f"{recipe.benchmark} has no task {unknown[0]!r}: {advice}")
    if group.browsergym_split:
        in_split = set(metadata[metadata["browsergym_split"] == group.browsergym_split]["task_name"])
        if group.tasks and (outside := [task for task in tasks if task not in in_split]):
            raise UserError(
                f"{outside[0]} is not in BrowserGym's {group.browsergym_split} split, as {group.split} says"
            )
        tasks = [task for task in tasks if task in in_split]
    if not tasks:
        raise UserError(f"the episodes of {group.split} name no task of {recipe.benchmark}")
    if group.seeds == "default":
        chosen = set(tasks)
        pairs = [(e.task_name, e.task_seed) for e in benchmark.env_args_list if e.task_name in chosen]
    else:
        pairs = [(task, seed) for task in tasks for seed in group.seeds]
    make_env_args = CubeEnvArgs if recipe.backend == "cube" else EnvArgs
    return [
        make_env_args(
            task_name=task,
            task_seed=int(seed),
            max_steps=recipe.max_steps or known[task],
            slow_mo=recipe.slow_mo,
            pre_observation_delay=recipe.wait_after_action,
        )
        for task, seed in pairs
    ]
