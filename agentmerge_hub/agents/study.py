"""AgentLab's Study of a plan, and the servers its agents need."""

from collections.abc import Iterator
from pathlib import Path

from agentmerge_hub.agents import check, endpoint, serve
from agentmerge_hub.agents.lab import Study
from agentmerge_hub.agents.plan import MUTE, Episode, Plan
from agentmerge_hub.agents.recipe import Recipe


def folder(planned: Plan, root: Path) -> Path:
    """The study's folder under the root, with AgentLab's study.pkl.gz in it; an earlier one of the recipe goes on."""
    agents = list({id(e.run.agent_args): e.run.agent_args for e in planned.episodes}.values())
    study = Study(agents, planned.benchmark, suffix=planned.recipe.name, logging_level_stdout=MUTE)
    study.exp_args_list = [episode.run for episode in planned.distinct()]
    earlier = sorted(path.parent for path in root.glob("*/study.pkl.gz"))
    study.dir = earlier[-1] if earlier else None
    study.save(root)
    return study.dir


def sessions(recipe: Recipe, episodes: list[Episode]) -> Iterator[list[Episode]]:
    """Batches of episodes; while a batch is in the caller's hands, what its agents ask is being served.

    Raises:
        UserError: if a server does not start.
    """
    if scripted := [episode for episode in episodes if episode.candidate.scripted]:
        yield scripted
    asking = [episode for episode in episodes if not episode.candidate.scripted]
    if not asking:
        return
    how = {"dtype": recipe.dtype, "arguments": recipe.engine_arguments}
    if recipe.endpoint:
        endpoint.use(recipe.endpoint, check.key(recipe))
        yield asking
    elif (engine := serve.engine_for(recipe.engine)) == "transformers":
        with serve.serving(None, "transformers", **how) as address:
            endpoint.use(address)
            yield asking
    else:
        for path in dict.fromkeys(episode.candidate.path for episode in asking):
            with serve.serving(path, engine, **how) as address:
                endpoint.use(address)
                yield [episode for episode in asking if episode.candidate.path == path]
