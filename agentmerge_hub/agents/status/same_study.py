"""A study's folder is only continued with a recipe that has every episode in it. Reads the folder; writes nothing."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmerge_hub.agents.recipes.file import read_mapping
from agentmerge_hub.agents.status.run_status import list_runs
from agentmerge_hub.agents.status.study_info import RECIPE_NAME
from agentmerge_hub.errors import UserError
from agentmerge_hub.plural import counted
from agentmerge_hub.settings_diff import differences

if TYPE_CHECKING:  # a reader does not wait for AgentLab's import
    from agentmerge_hub.agents.recipes.recipe import Recipe
    from agentmerge_hub.agents.study.plan import Plan

_NO_EFFECT = (
    "name", "endpoint", "api_key_variable", "engine", "engine_arguments", "jobs", "ray_address", "max_hours", "max_tokens",
    "step_seconds", "retries", "screenshots",
)  # fmt: skip
"""Keys of a recipe that change no episode's identity."""


def check_same_study(recipe_path: Path, planned: "Plan", out: Path) -> None:
    """Check that every run in a study's folder is an episode of the recipe, which can have more.

    Args:
        recipe_path: the recipe to continue with.
        planned: its episodes, with the hashes of model folders.
        out: the study's folder.

    Raises:
        UserError: if the folder has other runs, which would be counted and built with those of the recipe; it names what differs.
    """
    planned_ids = {episode.run.exp_id for episode in planned.episodes}
    runs = list_runs(out) | list_runs(out / "traces")  # of collect, of evaluate
    if others := runs.keys() - planned_ids:
        raise UserError(
            f"{out} has {counted(len(others), 'episode')} that {recipe_path} does not have ({_changes(recipe_path, out)}): "
            "choose another folder, or restore the recipe; a study that goes on can only get more episodes"
        )


def changed_arguments(recipe: "Recipe", out: Path) -> list[str]:
    """A sentence if engines served the study's earlier episodes with other arguments: these change no episode's identity, and some
    change its answers."""
    if not (out / RECIPE_NAME).is_file():
        return []
    earlier: list[str] = []
    with contextlib.suppress(UserError):
        earlier = [str(one) for one in read_mapping(out / RECIPE_NAME).get("engine_arguments") or ()]
    if recipe.engine_arguments == earlier or not (list_runs(out) or list_runs(out / "traces")):
        return []
    return [
        f"the earlier episodes of {out} were served with engine_arguments [{', '.join(earlier)}] and are kept, the next ones are served "
        f"with [{', '.join(recipe.engine_arguments)}]: use another folder if that changes answers, as --quantization does"
    ]


def _changes(recipe_path: Path, out: Path) -> str:
    """The settings that differ, as the two recipes write them."""
    changed: list[str] = []
    with contextlib.suppress(UserError):
        earlier, now = (_by_name(read_mapping(path)) for path in (out / RECIPE_NAME, recipe_path))
        changed = differences(earlier, now, may_differ=_NO_EFFECT)
    shown = [f"{line[:200]} …" if len(line) > 200 else line for line in changed[:5]]
    if len(changed) > len(shown):
        shown.append(f"{len(changed) - len(shown)} more")
    return "; ".join(shown) or "the recipe here, the files of a model folder, or this package's version has changed"


def _by_name(value: Any) -> Any:
    """Lists of named objects as objects, so that a difference names the candidate, agent or split."""
    if isinstance(value, Mapping):
        return {str(key): _by_name(inner) for key, inner in value.items()}
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        names = [str(one.get("name", one.get("split", index))) for index, one in enumerate(value)]
        unique = names if len(set(names)) == len(names) else [str(index) for index in range(len(value))]
        return {name: _by_name(one) for name, one in zip(unique, value)}
    return value
