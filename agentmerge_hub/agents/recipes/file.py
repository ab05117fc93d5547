"""The YAML file of a study's recipe → its keys and values, not validated. A file of another kind is named as that."""

from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import strict_yaml
from agentmerge_hub.recipe_kinds import STUDY, other_kind


def read_mapping(path: Path) -> dict[str, Any]:
    """The keys and values of a recipe's file, not validated.

    Raises:
        UserError: if the file cannot be read or is not a YAML mapping.
    """
    try:
        content = strict_yaml.load(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"the recipe {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"the recipe {path} cannot be read: it is no text in UTF-8") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no recipe: it has no keys, such as candidates and agents")
    if not content.keys() & {"candidates", "agents", "episodes"}:
        kind = other_kind(content, STUDY)
        but = f", but {kind}" if kind else ""
        raise UserError(f"{path} has no candidates, agents or episodes: it is no recipe of collect and evaluate{but}")
    return content
