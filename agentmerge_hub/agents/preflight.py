"""Check before the first episode what a study needs: browser, instance, model folders, endpoint. Nothing is started."""

import os
from collections.abc import Iterator
from pathlib import Path

from agentmerge_hub.agents.browser import chromium
from agentmerge_hub.agents.recipe import Recipe
from agentmerge_hub.agents.serving import endpoint, server
from agentmerge_hub.errors import UserError

WORKARENA_VARIABLES = ("SNOW_INSTANCE_URL", "SNOW_INSTANCE_UNAME", "SNOW_INSTANCE_PWD")

WORKARENA_MISSING = (
    f"WorkArena needs a ServiceNow instance: set {', '.join(WORKARENA_VARIABLES)}, or SNOW_INSTANCE_POOL to a file of "
    "instances, or ask for access at https://huggingface.co/datasets/ServiceNow/WorkArena-Instances and set HF_TOKEN"
)


def list_problems(recipe: Recipe) -> list[str]:
    """A sentence for each problem; empty if the study can start."""
    return list(_problems(recipe))


def _problems(recipe: Recipe) -> Iterator[str]:
    try:
        chromium.find()
    except UserError as error:
        yield str(error)
    if recipe.benchmark.startswith("workarena"):
        yield from _workarena_problems()
    for candidate in recipe.candidates:
        try:
            if candidate.path:
                server.check_model_folder(candidate.path)
                if recipe.engine == "llama.cpp":
                    server.gguf_file(candidate.path)
        except UserError as error:
            yield f"candidate {candidate.name}: {error}"
    try:
        if recipe.endpoint:
            endpoint.list_models(recipe.endpoint, endpoint_key(recipe))
        elif any(candidate.model for candidate in recipe.candidates):
            yield "a candidate with `model` needs the recipe's `endpoint`: the base URL of an OpenAI-compatible API"
        elif any(candidate.path for candidate in recipe.candidates):
            server.select_engine(recipe.engine)
    except UserError as error:
        yield str(error)


def _workarena_problems() -> Iterator[str]:
    if all(os.environ.get(name) for name in WORKARENA_VARIABLES):
        return
    if pool := os.environ.get("SNOW_INSTANCE_POOL"):
        if not Path(pool).expanduser().is_file():
            yield f"SNOW_INSTANCE_POOL is {pool!r}, which is not a file"
        return
    from huggingface_hub import get_token, try_to_load_from_cache

    cached = try_to_load_from_cache("ServiceNow/WorkArena-Instances", "instances_v2.json", repo_type="dataset")
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    if not isinstance(cached, str) and (offline or get_token() is None):
        yield WORKARENA_MISSING


def endpoint_key(recipe: Recipe) -> str:
    """The endpoint's key.

    Raises:
        UserError: if the recipe names a variable that is not set.
    """
    if not recipe.api_key_variable:
        return ""
    if not os.environ.get(recipe.api_key_variable):
        raise UserError(f"the environment variable {recipe.api_key_variable} is not set: it holds the endpoint's key")
    return os.environ[recipe.api_key_variable]
