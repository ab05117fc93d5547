"""The oldest versions that the train extra allows are those that the tests run with."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]


def test_lower_bounds_of_training_are_the_tested_versions() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {name: Version(version) for name, _, version in (line.partition("==") for line in lines) if version}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for text in extras["train"]:
        requirement = Requirement(text)
        (oldest,) = (Version(each.version) for each in requirement.specifier if each.operator == ">=")
        assert requirement.specifier.contains(locked[requirement.name])
        tested = locked[requirement.name].release
        assert oldest.release == tested[: len(oldest.release)], f"{text}: {locked[requirement.name]} is tested"
