"""Check before the first episode what a study needs: browser, instance, model folders, endpoint. Nothing is started."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from agentmerge_hub.agents.browser import chromium
from agentmerge_hub.agents.cube import client
from agentmerge_hub.agents.cube.installation import PACKAGES
from agentmerge_hub.agents.provenance import provenance_columns
from agentmerge_hub.agents.recipes.recipe import Recipe
from agentmerge_hub.agents.serving import endpoint, engines
from agentmerge_hub.agents.serving.model_folder import check_model_folder, context_length, takes_images
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
    if recipe.backend == "cube":
        yield from _cube_problems(recipe)
    else:
        yield from _package_problems(recipe)
    if recipe.benchmark.startswith("workarena"):
        yield from _workarena_problems()
    try:
        engine = engines.select_engine(recipe.engine) if not recipe.endpoint and _has_folders(recipe) else recipe.engine
    except UserError as error:
        yield str(error)
        return
    for candidate in recipe.candidates:
        try:
            if candidate.path:
                check_model_folder(candidate.path, engine)
                check_vision(candidate.path, recipe)
                check_context(candidate.path, context_length(candidate.path), recipe.window)
                provenance_columns(candidate)
        except UserError as error:
            yield f"candidate {candidate.name}: {error}"
    names = {candidate.path or candidate.model for candidate in recipe.candidates if not candidate.scripted}
    if recipe.endpoint:
        try:
            check_served(endpoint.list_models(recipe.endpoint, endpoint_key(recipe)), names, recipe.window)
        except UserError as error:
            yield str(error)
    elif any(candidate.model for candidate in recipe.candidates):
        yield "a candidate with `model` needs the recipe's `endpoint`: the base URL of an OpenAI-compatible API"


def _has_folders(recipe: Recipe) -> bool:
    return any(candidate.path for candidate in recipe.candidates)


def check_served(models: list[endpoint.ServedModel], names: set[str], window: int) -> None:
    """Raise UserError if an endpoint lists its models and one of the names is not among them, or its context is too short."""
    listed = {model.name: model for model in models}
    for name in sorted(names) if listed else ():
        if name not in listed:
            others = ", ".join(sorted(listed)[:5]) + (" …" if len(listed) > 5 else "")
            raise UserError(
                f"the endpoint does not serve {name!r} but {others}: correct the candidate's model or the server"
            )
        check_context(name, listed[name].context_length, window)


def check_vision(path: str, recipe: Recipe) -> None:
    """Raise UserError if an agent shows screenshots to a model folder without a vision encoder."""
    shown = [agent.name for agent in recipe.agents if agent.uses_screenshot]
    if shown and not takes_images(path):
        raise UserError(
            f"{path} has no vision_config, so it takes no images, and agent {shown[0]!r} has use_screenshot: use a vision model, "
            "or set use_screenshot and use_som to false"
        )


def check_context(name: str, length: int | None, window: int) -> None:
    """Raise UserError if a model's context length is known and shorter than the window."""
    if length is not None and length < window:
        raise UserError(
            f"{name} has a context of {length} tokens and the recipe's window is {window}: set window to {length} or less"
        )


def _package_problems(recipe: Recipe) -> Iterator[str]:
    """Whether BrowserGym's package with the benchmark's tasks is installed; the lists of tasks are in another one."""
    prefix = recipe.benchmark.split("_")[0]
    module, package = _PACKAGES.get(prefix, (f"browsergym.{prefix}", f"browsergym-{prefix}"))
    spec = find_spec(module)
    if spec is None or spec.origin is None:  # the placeholder for WebArena has no origin
        yield (
            f"the tasks of {recipe.benchmark} are in the Python package {package}, which is not installed: install it, or run the "
            "recipe in an environment that has it"
        )
    if prefix in ("webarena", "visualwebarena") and len(recipe.candidates) * len(recipe.agents) > 1:
        yield (  # AgentLab refuses such a study
            f"the websites of {recipe.benchmark} must be reset after each agent: a recipe can have one candidate and one agent"
        )


_PACKAGES = {"weblinx": ("weblinx_browsergym", "weblinx-browsergym")}
"""Module and package of the benchmarks that are not named after BrowserGym."""


def _cube_problems(recipe: Recipe) -> Iterator[str]:
    package = PACKAGES.get(recipe.benchmark.split("_")[0])
    if package is None:
        yield f"backend cube has no tasks of {recipe.benchmark}, but of {' and '.join(PACKAGES)}: use backend local"
        return
    if recipe.ray_address:
        yield "backend cube runs on this machine and takes no ray_address: remove it"
    try:
        if not client.installed_versions().get(package):
            yield f"the CUBE environment has no {package}: run `make setup-cube` with Python 3.12, which WorkArena needs"
    except UserError as error:
        yield str(error)


def _workarena_problems() -> Iterator[str]:
    url, *user = (os.environ.get(name, "") for name in WORKARENA_VARIABLES)
    if url and all(user):
        yield from _instance_problems(url, (user[0], user[1]))
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


def _instance_problems(url: str, user: tuple[str, str]) -> Iterator[str]:
    """Whether the instance answers and takes the user: a task would wait for it for minutes. Reads one row of a table."""
    import httpx

    address, name, password = WORKARENA_VARIABLES
    try:
        status = httpx.get(
            f"{url.rstrip('/')}/api/now/table/sys_user?sysparm_limit=1&sysparm_fields=sys_id",
            auth=user, timeout=20, follow_redirects=True,
        ).status_code  # fmt: skip
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield f"no ServiceNow instance answers at {address} ({type(error).__name__}): correct the variable or start the instance"
        return
    if status in (401, 403):
        yield f"the ServiceNow instance refuses the user (HTTP {status}): correct {name} and {password}"
    elif status >= 400:
        yield f"the ServiceNow instance at {address} answers HTTP {status}: correct the variable or start the instance"


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
