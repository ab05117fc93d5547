"""Episodes in batches, each yielded while the models it needs are served."""

from collections.abc import Iterator

from agentmerge_hub.agents.recipes.recipe import Recipe
from agentmerge_hub.agents.serving import endpoint
from agentmerge_hub.agents.serving.engines import request_name, select_engine
from agentmerge_hub.agents.serving.server import serve_model
from agentmerge_hub.agents.study.plan import Episode
from agentmerge_hub.agents.study.preflight import check_served, endpoint_key


def served_batches(recipe: Recipe, episodes: list[Episode]) -> Iterator[list[Episode]]:
    """Yield the episodes in batches; the models of a batch are served until the next one is requested.

    Raises:
        UserError: if a server does not start, or serves less context than the recipe's window.
    """
    if scripted := [episode for episode in episodes if episode.candidate.scripted]:
        yield scripted
    with_model = [episode for episode in episodes if not episode.candidate.scripted]
    if not with_model:
        return
    if recipe.endpoint:
        endpoint.configure(recipe.endpoint, endpoint_key(recipe))
        yield with_model
    elif (engine := select_engine(recipe.engine)) == "transformers":
        with serve_model(None, "transformers", dtype=recipe.dtype, arguments=recipe.engine_arguments) as address:
            endpoint.configure(address)
            yield with_model
    else:
        for path in dict.fromkeys(episode.candidate.path for episode in with_model):
            with serve_model(path, engine, dtype=recipe.dtype, arguments=recipe.engine_arguments) as address:
                name = request_name(path, engine)
                served = [model for model in endpoint.list_models(address) if model.name == name]
                check_served(served, {name}, recipe.window)
                endpoint.configure(address)
                yield [episode for episode in with_model if episode.candidate.path == path]
