"""study.json: what a reader of a study's folder needs besides its runs. It is written when the study starts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from agentmerge_hub.agents.recipe import Price
from agentmerge_hub.atomic_write import write_text
from agentmerge_hub.errors import UserError

if TYPE_CHECKING:  # a reader does not wait for AgentLab's import
    from agentmerge_hub.agents.plan import Plan

NAME = "study.json"

RECIPE_NAME = "recipe.yaml"
"""Written first. A folder with it is a study's, finished or not, and can be continued."""


class StudyInfo(BaseModel):
    """A study's size and prices."""

    verb: str
    """``collect`` or ``evaluate``."""
    episodes: int
    """Distinct episodes of the recipe."""
    prices: dict[str, Price] = {}
    """Price by agent name, for hosted models."""


def write_info(planned: "Plan", out: Path, verb: str) -> None:
    prices = {e.run.agent_args.agent_name: e.candidate.price for e in planned.episodes if e.candidate.price}
    info = StudyInfo(verb=verb, episodes=len(planned.distinct()), prices=prices)
    write_text(out / NAME, json.dumps(info.model_dump(), indent=1, sort_keys=True) + "\n")


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
