"""The oldest versions that pyproject.toml allows for training are those that `.ci/oldest` ran a recipe with."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]


def versions(name: str) -> dict[str, Version]:
    lines = (ROOT / name).read_text().splitlines()
    pinned = (line.partition("==") for line in lines if "==" in line)
    return {package.lower().replace("_", "-"): Version(version) for package, _, version in pinned}


def test_lower_bounds_of_training_are_versions_that_ran() -> None:
    oldest, locked = versions(".ci/oldest.txt"), versions("requirements.lock")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    train = [Requirement(text) for text in project["optional-dependencies"]["train"]]
    for requirement in train:
        (bound,) = (Version(each.version) for each in requirement.specifier if each.operator == ">=")
        ran = oldest[requirement.name]
        assert ran.release[: len(bound.release)] == bound.release, f"{requirement}: run .ci/oldest again, it ran {ran}"
        assert requirement.specifier.contains(locked[requirement.name])
    # Others may have to be newer than their bound for a package of the extra, as pyarrow for datasets.
    for requirement in map(Requirement, project["dependencies"]):
        assert requirement.specifier.contains(oldest[requirement.name.lower()]), f"{requirement}: run .ci/oldest again"
