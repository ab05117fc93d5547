"""The YAML file of a study's recipe → its keys and values, not validated. A file of another kind is named as that."""

from pathlib import Path
from typing import Any

from agentmerge_hub import strict_yaml
from agentmerge_hub.errors import UserError


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
        kind = next((f", but {kind}" for key, kind in _OTHER_FILES.items() if key in content), "")
        raise UserError(f"{path} has no candidates, agents or episodes: it is no recipe of collect and evaluate{kind}")
    return content


_TRAINING = (
    "one of training: run `accelerate launch -q` with recipes/sft.py or recipes/preference.py and it as --config"
)

_OTHER_FILES = {
    "model_name_or_path": _TRAINING,
    "dataset_name": _TRAINING,
    "learning_rate": _TRAINING,
    "merge_method": "a merge spec: run `agentmerge merge`",
    "grid": "a sweep of training runs: run `agentmerge recipes expand`",
}
"""A key that a recipe of a study does not have → the kind of file that has it, and the command that reads it."""
