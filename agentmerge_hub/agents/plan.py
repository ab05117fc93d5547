"""From a recipe to its episodes: every candidate, asked in every way, on every task and seed."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from agentmerge_hub.agents import actors, serve
from agentmerge_hub.agents.lab import DEFAULT_BENCHMARKS, Benchmark, EnvArgs, ExpArgs
from agentmerge_hub.agents.recipe import AgentConfig, Candidate, Group, Recipe
from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.errors import UserError

MUTE = 100
"""A logging level above all: the console belongs to the progress line, AgentLab's words go to experiment.log."""


@dataclass(frozen=True)
class Episode:
    """One episode that the recipe asks for. Two that cannot differ share the `exp_id` of their runs."""

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
        """The episodes to run, in order: identical weights are evaluated once, under the first name they have."""
        first: dict[str, Episode] = {}
        for episode in self.episodes:
            first.setdefault(episode.run.exp_id, episode)
        return list(first.values())


def plan(recipe: Recipe, *, hashed: bool = True) -> Plan:
    """List the episodes of a recipe.

    Args:
        recipe: what is wanted.
        hashed: whether to read the candidates' weights, as running them needs.

    Raises:
        UserError: for a benchmark, task, split or model folder that is not there.
    """
    benchmark = _benchmark(recipe.benchmark)
    places = [(group, env_args) for group in recipe.episodes for env_args in _env_args(benchmark, group, recipe)]
    benchmark.env_args_list = [env_args for _, env_args in places]
    unsolvable = actors.unsolvable({env_args.task_name for _, env_args in places})
    if unsolvable and any(candidate.scripted for candidate in recipe.candidates):
        raise UserError(f"the scripted expert has no solver for {', '.join(unsolvable)}: leave it out of the recipe")
    folders = {candidate.path for candidate in recipe.candidates if candidate.path}
    hashes = {path: weights_hash(Path(path)) for path in folders} if hashed else {}
    episodes = []
    for candidate in recipe.candidates:
        digest = hashes.get(candidate.path, "")
        for agent in recipe.agents:
            args = actors.agent_args(recipe, candidate, agent)
            for group, env_args in places:
                run = ExpArgs(
                    args, env_args, logging_level_stdout=MUTE, logging_level=30, save_screenshot=recipe.screenshots
                )
                run.exp_id = _identity(recipe, candidate, digest, agent, env_args)
                episodes.append(Episode(candidate, agent.name, group, run, digest))
    return Plan(recipe, benchmark, tuple(episodes))


def _identity(recipe: Recipe, candidate: Candidate, digest: str, agent: AgentConfig, env_args: EnvArgs) -> str:
    """Hash of what a run depends on: the weights wherever they lie, the way they are asked, the task and the seed. AgentLab
    saves it with the run, so that a later call knows what stands already. Flags at their defaults are left out: one that a
    later version adds changes no run. So is how many are answered at once."""
    content = {
        "who": digest or candidate.model_dump(include={"path", "model", "revision", "scripted"}),
        "tokenizer": candidate.tokenizer,
        "agent": agent.model_dump(exclude={"name"}, exclude_defaults=True, mode="json"),
        "asked": recipe.model_dump(include={"window", "answer", "temperature", "max_retry"})
        | recipe.model_dump(include={"dtype"}, exclude_defaults=True)
        | ({"gguf": serve.gguf(candidate.path).name} if recipe.engine == "llama.cpp" and digest else {}),
        "where": asdict(env_args),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


ALIASES = {
    "workarena_l2": "workarena_l2_agent_curriculum_eval",
    "workarena_l3": "workarena_l3_agent_curriculum_eval",
}


def _benchmark(name: str) -> Benchmark:
    name = ALIASES.get(name, name)
    if name not in DEFAULT_BENCHMARKS:
        raise UserError(f"there is no benchmark {name!r}: use one of {', '.join(sorted(DEFAULT_BENCHMARKS))}")
    return DEFAULT_BENCHMARKS[name]()


def _env_args(benchmark: Benchmark, group: Group, recipe: Recipe) -> list[EnvArgs]:
    """The environments of a group: the benchmark's own seeds, or each task with each given seed."""
    metadata = benchmark.task_metadata
    prefix = metadata["task_name"].iloc[0].split(".")[0] + "."
    known = {env_args.task_name: env_args.max_steps for env_args in benchmark.env_args_list}
    wanted = [task if task.startswith(prefix) else prefix + task for task in group.tasks] or list(known)
    if unknown := [task for task in wanted if task not in known]:
        raise UserError(
            f"{recipe.benchmark} has no task {unknown[0]!r}: see `agentmerge collect --dry-run` without tasks"
        )
    if group.browsergym_split:
        of_split = set(metadata[metadata["browsergym_split"] == group.browsergym_split]["task_name"])
        if group.tasks and (strays := [task for task in wanted if task not in of_split]):
            raise UserError(f"{strays[0]} is not in BrowserGym's {group.browsergym_split} split, as {group.split} says")
        wanted = [task for task in wanted if task in of_split]
    if not wanted:
        raise UserError(f"the episodes of {group.split} name no task of {recipe.benchmark}")
    if group.seeds == "default":
        pairs = [(e.task_name, e.task_seed) for e in benchmark.env_args_list if e.task_name in set(wanted)]
    else:
        pairs = [(task, seed) for task in wanted for seed in group.seeds]
    return [
        EnvArgs(
            task_name=task,
            task_seed=int(seed),
            max_steps=recipe.max_steps or known[task],
            slow_mo=recipe.slow_mo,
            pre_observation_delay=recipe.wait_after_action,
        )
        for task, seed in pairs
    ]
