"""The recipes of the package: list, show, copy, and expand a sweep into launch lines. No torch here."""

import difflib
import itertools
import re
import shlex
import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentmerge_hub.errors import UserError, schema_problem
from agentmerge_hub.files import strict_yaml
from agentmerge_hub.package_data import data_folder


class Sweep(BaseModel):
    """A grid of runs: every recipe with every combination of values."""

    model_config = ConfigDict(extra="forbid")

    launch: str = Field(description="The launch line up to --config.")
    recipes: list[str] = Field(min_length=1, description="Recipes, relative to the sweep's folder.")
    grid: dict[str, list[float | int | str]] = Field(min_length=1, description="Option → its values.")


SUFFIXES = (".yaml", ".yml", ".sh", ".py")


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
    """A recipe by its path, or by its name among the recipes of the package.

    Raises:
        UserError: if there is none, or the file is no recipe; names those with a similar name.
    """
    inside = root().resolve()
    for path in (Path(name), root() / name, root() / name.removeprefix("recipes/")):
        leaves = path.is_relative_to(root()) and not path.resolve().is_relative_to(inside)
        if path.is_file() and not leaves:
            if path.suffix not in SUFFIXES:
                raise UserError(f"{name} is no recipe: a recipe is a file that ends in {', '.join(SUFFIXES)}")
            return path
    known = [recipe for recipe, _ in listed()]
    if inside_it := [recipe for recipe in known if recipe.startswith(f"{name.removeprefix('recipes/').rstrip('/')}/")]:
        raise UserError(f"{name} is a folder of recipes: name one of {', '.join(inside_it)}")
    near = difflib.get_close_matches(name, known, 3) or [recipe for recipe in known if Path(name).stem in recipe]
    raise UserError(
        f"no recipe {name!r}" + (f": did you mean {', '.join(near[:3])}?" if near else ": see `agentmerge recipes ls`")
    )


def copy(name: str, out: Path) -> Path:
    """Copy a recipe to change it; an existing file is never overwritten."""
    source = find(name)
    target = out / source.name if out.is_dir() else out
    if target.exists():
        raise UserError(f"{target} already exists: choose another path")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def expand(name: str) -> list[str]:
    """A launch line for each run of a sweep; each run's folder is named after its values.

    Files of the recipes folder are named as they are seen from the current folder, or by their path in the installed
    package.

    Raises:
        UserError: if the file is not a sweep, or a recipe that it names is missing.
    """
    path = find(name)
    try:
        sweep = Sweep.model_validate(strict_yaml.load(path.read_text(encoding="utf-8"), name))
    except ValidationError as error:
        reason = schema_problem(error, "the file", Sweep)
        raise UserError(
            f"{name} is not a sweep of launch, recipes and grid, such as sft/tiny/sweep.yaml: {reason}"
        ) from error
    launch = [_existing(word) for word in shlex.split(sweep.launch)]
    lines = []
    for recipe in sweep.recipes:
        recipe_path = path.parent / recipe
        if not recipe_path.is_file():
            raise UserError(f"{name} names {recipe}, which is not in its folder: copy it there or correct the name")
        settings = strict_yaml.load(recipe_path.read_text(encoding="utf-8"), str(recipe_path))
        for values in itertools.product(*sweep.grid.values()):
            chosen = dict(zip(sweep.grid, values))
            suffixes = [value if isinstance(value, str) else f"{_short(key)}{value:g}" for key, value in chosen.items()]
            options = chosen | {"output_dir": "-".join([settings["output_dir"], *suffixes])}
            words = [*launch, "--config", str(recipe_path)]
            words += [word for key, value in options.items() for word in (f"--{key}", str(value))]
            lines.append(shlex.join(words))
    return lines


def _existing(word: str) -> str:
    """A word of a launch line; a file below recipes/ that is not in the current folder is taken from the package."""
    packaged = root() / word.removeprefix("recipes/")
    return str(packaged) if word.startswith("recipes/") and not Path(word).exists() and packaged.is_file() else word


def _short(key: str) -> str:
    """``learning_rate`` → ``lr``, ``seed`` → ``seed``."""
    return "".join(part[0] for part in key.split("_")) if "_" in key else key
