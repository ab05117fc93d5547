"""study.json: what a reader of a study's folder needs besides its runs. It is written when the study starts."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from agentmerge_hub.agents.recipes.recipe import Price
from agentmerge_hub.agents.serving.engines import select_engine
from agentmerge_hub.agents.serving.served_format import engine_version, number_format
from agentmerge_hub.agents.status.run_status import RunStatus
from agentmerge_hub.errors import UserError
from agentmerge_hub.files.atomic_write import write_text
from agentmerge_hub.records import ENDPOINT

if TYPE_CHECKING:  # a reader does not wait for AgentLab's import
    from agentmerge_hub.agents.study.plan import Plan

NAME = "study.json"

RECIPE_NAME = "recipe.yaml"
"""Written first. A folder with it is a study's, finished or not, and can be continued."""


class Tokens(BaseModel):
    """Tokens of requests and answers."""

    prompt: int = 0
    completion: int = 0


class StudyInfo(BaseModel):
    """A study's size and prices."""

    verb: str
    """``collect`` or ``evaluate``."""
    episodes: int
    """Distinct episodes of the recipe."""
    prices: dict[str, Price] = {}
    """Price by agent name, for hosted models."""
    engines: list[str] = []
    """What served the model folders, over all its runs: engines with their versions, or ``endpoint``."""
    number_formats: dict[str, list[str]] = {}
    """Path of a candidate → formats that its weights were computed in, over all runs of the study."""
    removed: dict[str, Tokens] = {}
    """Agent name → tokens of its crashed runs that were removed to be run again: they were paid for, too."""

    @property
    def removed_tokens(self) -> int:
        return sum(tokens.prompt + tokens.completion for tokens in self.removed.values())


def write_info(planned: "Plan", out: Path, verb: str) -> None:
    prices = {e.run.agent_args.agent_name: e.candidate.price for e in planned.episodes if e.candidate.price}
    earlier = _earlier(out)
    engines, formats = (earlier.engines, earlier.number_formats) if earlier else ([], {})
    removed = earlier.removed if earlier else {}
    for engine, path, computed_in in _served(planned):
        engines = list(dict.fromkeys([*engines, engine]))
        formats[path] = list(dict.fromkeys([*formats.get(path, []), *([computed_in] if computed_in else [])]))
    info = StudyInfo(
        verb=verb,
        episodes=len(planned.distinct()),
        prices=prices,
        engines=engines,
        number_formats=formats,
        removed=removed,
    )
    _write(info, out)


def count_removed(runs: Iterable[RunStatus], out: Path) -> None:
    """Add the tokens of runs that are about to be removed. A run without a summary has no count."""
    info = read_info(out)
    for run in runs:
        tokens = info.removed.get(run.agent, Tokens())
        info.removed[run.agent] = Tokens(
            prompt=tokens.prompt + run.prompt_tokens, completion=tokens.completion + run.completion_tokens
        )
    _write(info, out)


def _write(info: StudyInfo, out: Path) -> None:
    write_text(out / NAME, json.dumps(info.model_dump(), indent=1, sort_keys=True) + "\n")


def _served(planned: "Plan") -> Iterator[tuple[str, str, str]]:
    """(engine, path, number format) of each candidate that is a model folder."""
    recipe = planned.recipe
    paths = [candidate.path for candidate in recipe.candidates if candidate.path]
    if recipe.endpoint:
        yield from ((ENDPOINT, path, "") for path in paths)
    elif paths:
        engine = select_engine(recipe.engine)
        for path in paths:
            yield engine_version(engine), path, number_format(Path(path), engine, recipe.dtype, recipe.engine_arguments)


def verb_of(out: Path) -> str | None:
    """``collect`` or ``evaluate``, whichever wrote the study's folder; None if that is unknown."""
    earlier = _earlier(out)
    return earlier.verb if earlier else None


def _earlier(out: Path) -> StudyInfo | None:
    """What an earlier run wrote; None if there is none, or another version's."""
    with contextlib.suppress(UserError):
        return read_info(out)
    return None


def read_info(out: Path) -> StudyInfo:
    """Read study.json.

    Raises:
        UserError: if the folder is not a study's.
    """
    try:
        return StudyInfo.model_validate_json((out / NAME).read_text(encoding="utf-8"))
    except OSError:
        if (out / RECIPE_NAME).is_file():
            raise UserError(f"{out} has no {NAME}: {_OTHER_VERSION}") from None
        raise UserError(f"there is no study in {out}: name the output folder of collect or evaluate") from None
    except ValueError:
        raise UserError(f"{out / NAME} cannot be read: {_OTHER_VERSION}") from None


_OTHER_VERSION = "another version wrote this study; run its command again, which keeps the episodes that are done"
