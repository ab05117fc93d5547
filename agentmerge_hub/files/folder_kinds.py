"""What a folder is that was given for something else: a model, or a dataset. Names on the Hub are left to what loads them."""

from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model or an adapter, and no dataset."""
    return content_hash.is_model(folder) and not is_dataset(folder)


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds rows in the layout that ``build`` writes."""
    return any(folder.glob("data/**/*.parquet"))


def check_model(name: str) -> None:
    """Raise UserError if a model's name is a folder without one."""
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise UserError(f"{name} has no config.json: it is not a model folder")


def check_dataset(name: str) -> None:
    """Raise UserError if a dataset's name is a model's folder."""
    if Path(name).is_dir() and is_model(Path(name)):
        raise UserError(f"{name} is a model folder, not a dataset that `agentmerge build` wrote")
