"""What is installed: every extra brings what its package imports, the locks agree, and the wheel holds code and recipes only."""

import json
import re
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

# Imports every module of the named packages while only the named distributions can be imported.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
from importlib.metadata import packages_distributions
from packaging.utils import canonicalize_name

packages, allowed = json.loads(sys.argv[1])
owners = {top: {canonicalize_name(name) for name in names} for top, names in packages_distributions().items()}

class OnlyAllowed:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in owners and not owners[top] & set(allowed):
            return None
        return self.finder.find_spec(name, path, target)

for name in [name for name in sys.modules if name.partition(".")[0] in owners]:
    del sys.modules[name]
sys.meta_path = [OnlyAllowed(finder) for finder in sys.meta_path]
import agentmerge_hub
for package in packages:
    module = importlib.import_module(f"agentmerge_hub.{package}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{module.__name__}."):
        if found.name != "agentmerge_hub.agents.cube.worker":  # it runs in CUBE's own environment
            importlib.import_module(found.name)
"""


def distributions(extra: str | None) -> set[str]:
    """Names of what pip installs for the package with an extra, as far as this environment has it."""
    found: set[str] = set()
    to_do = [("agentmerge-hub", frozenset({extra or ""}))]
    seen = set()
    while to_do:
        name, extras = to_do.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            required = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # declared, and not used here: the locked environment leaves it out
        found.add(name)
        for text in required:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": one}) for one in extras | {""}):
                to_do.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return found


@pytest.mark.parametrize(
    ("extra", "packages", "besides"),
    [
        (None, ["cli", "traces", "prompt", "actions", "fit", "tokenizer", "manifest", "records", "chat_template"], []),
        ("formats", ["traces"], []),
        ("hub", ["dataset", "publishing"], []),
        ("train", ["training"], []),
        ("merge", ["merging"], []),
        ("agents", ["agents"], ["agentlab"]),
        ("analysis", ["analysis"], []),
    ],
)
def test_an_extra_brings_what_its_package_imports(extra: str | None, packages: list[str], besides: list[str]) -> None:
    allowed = sorted(distributions(extra) | set(besides))
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, json.dumps([packages, allowed])], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-1500:]


def test_a_tokenizer_without_torch_prints_nothing(tokenizer_folder: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"  # as if it were not installed
        "from agentmerge_hub.tokenizer import ChatTokenizer; ChatTokenizer(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tokenizer_folder)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_hashed_lock_has_the_same_versions() -> None:
    locked = {line.strip() for line in (ROOT / "requirements.lock").read_text().splitlines() if line.strip()}
    hashed = re.findall(r"^(\S+==[^\s;\\]+)", (ROOT / "requirements-hashes.txt").read_text(), re.MULTILINE)
    names = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in locked if line[:7] != "torch=="}
    assert {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in hashed} == names, "run `make lock`"


def test_all_extras_together_can_be_resolved() -> None:
    """By the index's current versions, for every supported version of Python."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("uv"),
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--python-version",
            "3.11",
            "-",
        ],
        input=f"agentmerge-hub[all] @ {ROOT.as_uri()}",
        capture_output=True,
        text=True,
    )
    if "Failed to fetch" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr[-1500:]
    assert "mergekit==0.1.5" in done.stdout


def test_the_wheel_holds_code_and_recipes_without_experiments(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        file.extractall(tmp_path / "installed")
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "agentmerge_hub").rglob("*.py")}
    assert sources <= names
    assert {
        "agentmerge_hub/py.typed",
        "agentmerge_hub/recipes/sft.py",
        "agentmerge_hub/dataset_card/card.md.jinja",
    } <= names
    assert not [name for name in names if "experiments" in name or name.startswith("tests")]
    listed = subprocess.run(
        [sys.executable, "-c", "from agentmerge_hub.cli import main; main()", "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed"), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert listed.returncode == 0 and "merge" in listed.stdout, listed.stderr
