"""From a recipe to AgentLab's Study and back: which episodes there are, which are done, and running the rest."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentmerge_hub.agents import environment

environment.prepare()

from agentlab.experiments.loop import EnvArgs, ExpArgs  # noqa: E402
from agentlab.experiments.study import Study  # noqa: E402
from bgym import DEFAULT_BENCHMARKS, Benchmark  # noqa: E402

from agentmerge_hub.agents import check, endpoint, serve  # noqa: E402
from agentmerge_hub.agents.chat_agent import ChatAgentArgs  # noqa: E402
from agentmerge_hub.agents.expert import ExpertArgs  # noqa: E402
from agentmerge_hub.agents.recipe import Candidate, Group, Recipe  # noqa: E402
from agentmerge_hub.agents.weights import weights_hash  # noqa: E402
from agentmerge_hub.errors import UserError  # noqa: E402

MUTE = 100
"""A logging level above all: the console belongs to the progress line, AgentLab's words go to experiment.log."""


@dataclass(frozen=True)
class Episode:
    """One episode that the recipe asks for. Candidates with the same weights share `run`."""

    candidate: Candidate
    agent_name: str
    group: Group
    run: ExpArgs


def _identity(run: ExpArgs) -> str:
    """Hash of what a run depends on: the agent but for its name and the place of its weights, the task, the seed. AgentLab
    saves it with the run, so that a later call knows what stands already."""
    agent = asdict(run.agent_args)
    if agent.get("weights_hash"):
        agent = {name: value for name, value in agent.items() if name not in ("model", "tokenizer")}
    agent.pop("agent_name", None)
    content = json.dumps([type(run.agent_args).__name__, agent, asdict(run.env_args)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Plan:
    """All episodes of a recipe."""

    recipe: Recipe
    benchmark: Benchmark
    episodes: tuple[Episode, ...]

    def runs(self) -> list[ExpArgs]:
        """The distinct runs, in order: identical weights are evaluated once."""
        distinct: dict[str, ExpArgs] = {}
        for episode in self.episodes:
            distinct.setdefault(episode.run.exp_id, episode.run)
        return list(distinct.values())


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
    folders = {candidate.path for candidate in recipe.candidates if candidate.path}
    hashes = {path: weights_hash(Path(path)) for path in folders} if hashed else {}
    episodes = []
    for candidate in recipe.candidates:
        for agent in recipe.agents:
            args = _agent_args(recipe, candidate, agent, hashes.get(candidate.path, ""))
            for group, env_args in places:
                run = ExpArgs(
                    args, env_args, logging_level_stdout=MUTE, logging_level=30, save_screenshot=recipe.screenshots
                )
                run.exp_id = _identity(run)
                episodes.append(Episode(candidate, agent.name, group, run))
    return Plan(recipe, benchmark, tuple(episodes))


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


def _agent_args(recipe: Recipe, candidate: Candidate, agent: Any, digest: str) -> Any:
    name = f"{candidate.name}-{agent.name}"
    flags = agent.flags.model_dump()
    if candidate.scripted:
        return ExpertArgs(agent_name=name, flags=flags)
    model = candidate.path or candidate.model
    return ChatAgentArgs(
        agent_name=name,
        model=model,
        weights_hash=digest,
        flags=flags,
        tokenizer=candidate.tokenizer or model,
        window=recipe.window,
        answer=recipe.answer,
        temperature=recipe.temperature,
        max_retry=recipe.max_retry,
    )


def folder(planned: Plan, root: Path) -> Path:
    """The study's folder under the root, with AgentLab's study.pkl.gz in it; an earlier one of the recipe goes on."""
    agents = list({id(e.run.agent_args): e.run.agent_args for e in planned.episodes}.values())
    study = Study(agents, planned.benchmark, suffix=planned.recipe.name, logging_level_stdout=MUTE)
    study.exp_args_list = planned.runs()
    earlier = sorted(path.parent for path in root.glob("*/study.pkl.gz"))
    study.dir = earlier[-1] if earlier else None
    study.save(root)
    return study.dir


def sessions(recipe: Recipe, runs: list[ExpArgs]) -> Iterator[list[ExpArgs]]:
    """Batches of runs; while a batch is in the caller's hands, what its agents ask is being served.

    Raises:
        UserError: if a server does not start.
    """
    scripted = [run for run in runs if isinstance(run.agent_args, ExpertArgs)]
    hosted = [run for run in runs if isinstance(run.agent_args, ChatAgentArgs) and not run.agent_args.weights_hash]
    local = [run for run in runs if isinstance(run.agent_args, ChatAgentArgs) and run.agent_args.weights_hash]
    if scripted:
        yield scripted
    if hosted or (local and recipe.endpoint):
        key = check.key(recipe)
        endpoint.use(recipe.endpoint, key)
        yield hosted + (local if recipe.endpoint else [])
    if local and not recipe.endpoint:
        engine = serve.engine_for(recipe.engine)
        models = list(dict.fromkeys(run.agent_args.model for run in local))
        for batch in [[None]] if engine == "transformers" else [[model] for model in models]:
            with serve.serving(batch[0], engine) as address:
                endpoint.use(address)
                yield [run for run in local if batch[0] in (None, run.agent_args.model)]
