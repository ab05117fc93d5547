"""The recipes that travel with the package: list, show, copy, and expand a sweep into launch lines. No torch here."""

import itertools
import re
import shlex
import shutil
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentmerge_hub.errors import UserError
from agentmerge_hub.package_data import data_folder


class Sweep(BaseModel):
    """A grid of runs: every recipe with every combination of values."""

    model_config = ConfigDict(extra="forbid")

    launch: str = Field(description="The launch line up to --config.")
    recipes: list[str] = Field(min_length=1, description="Recipes, relative to the sweep's folder.")
    grid: dict[str, list[float | int | str]] = Field(min_length=1, description="Option → its values.")


def root() -> Path:
    return data_folder("recipes")


def listed() -> list[tuple[str, str]]:
    """Every recipe's name, relative to the recipes folder, and the first sentence of its head."""
    found = sorted(path for kind in ("*.yaml", "*.yml", "*.sh") for path in root().rglob(kind))
    return [(path.relative_to(root()).as_posix(), _about(path)) for path in found]


def _about(path: Path) -> str:
    """The head of a recipe up to its first full stop or its first keyword, such as Needs or When."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = itertools.takewhile(lambda line: line.startswith("#"), lines)
    text = " ".join(line.removeprefix("#").strip() for line in head if not line.startswith("#!"))
    return re.split(r"\.\s|\s[A-Z][a-z]+:\s", text, maxsplit=1)[0].rstrip(".")


def find(name: str) -> Path:
    """A recipe by its path, or by its name among the recipes that travel with the package.

    Raises:
        UserError: if there is none, naming those that sound like it.
    """
    for path in (Path(name), root() / name, root() / name.removeprefix("recipes/")):
        if path.is_file():
            return path
    near = [known for known, _ in listed() if Path(name).stem in known]
    raise UserError(
        f"no recipe {name!r}" + (f": did you mean {', '.join(near[:3])}?" if near else ": see `agentmerge recipes ls`")
    )


def copy(name: str, out: Path) -> Path:
    """Copy a recipe to change it; an existing file is never written over."""
    source = find(name)
    target = out / source.name if out.is_dir() else out
    if target.exists():
        raise UserError(f"{target} already exists: choose another place")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def expand(name: str) -> list[str]:
    """A launch line for each run of a sweep; each run's folder is named after its values."""
    path = find(name)
    try:
        sweep = Sweep.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise UserError(f"{name} is not a sweep of launch, recipes and grid: {' '.join(str(error).split())}") from error
    lines = []
    for recipe in sweep.recipes:
        if not (path.parent / recipe).is_file():
            raise UserError(f"{name} names {recipe}, which does not stand beside it")
        settings = yaml.safe_load((path.parent / recipe).read_text(encoding="utf-8"))
        for values in itertools.product(*sweep.grid.values()):
            chosen = dict(zip(sweep.grid, values))
            folder = "-".join(
                [
                    settings["output_dir"],
                    *(
                        f"{_short(key)}{value:g}" if not isinstance(value, str) else value
                        for key, value in chosen.items()
                    ),
                ]
            )
            options = [f"--{key} {shlex.quote(str(value))}" for key, value in (chosen | {"output_dir": folder}).items()]
            lines.append(" ".join([sweep.launch, "--config", str(path.parent / recipe), *options]))
    return lines


def _short(key: str) -> str:
    """``learning_rate`` → ``lr``, ``seed`` → ``seed``."""
    return "".join(part[0] for part in key.split("_")) if "_" in key else key
