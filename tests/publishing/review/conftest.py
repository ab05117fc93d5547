"""A small dataset of every config, built from traces that are written here, to review."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "dataset"))

HOSTILE = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
RANDOM = "kX9pQ2mZ7vLw4TbN"
"""Looks like a token, and no rule takes it for one."""


@pytest.fixture(scope="session")
def reviewable(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    """A dataset with the configs all, cot, no_cot, failures, preferences and episodes."""
    from dataset_files import run
    from made_traces import BUTTONS, write_episode

    from agentmerge_hub.prompt import ADVANCED, BASIC

    root = tmp_path_factory.mktemp("reviewable")
    for task, seeds in (("miniwob.click-dialog", range(8)), ("miniwob.click-button", range(2))):
        for seed in seeds:
            for flags in (ADVANCED, BASIC):
                write_episode(root / "traces", task, seed, flags=flags, refused="No action." if seed else "")
    write_episode(root / "traces", "miniwob.click-option", 1, goal=f"Click {BUTTONS[1]} 1. {HOSTILE} {RANDOM}")
    write_episode(root / "traces", "miniwob.click-dialog", 3, reward=0.0, action="click('10')", name="failed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTMERGE_CACHE", str(root / "cache"))
        options = ("--window", 4000, "--answer", 128, "--failures", "--preferences", "--workers", 1)
        run("build", root / "traces", "-o", root / "clicks", "--tokenizer", tokenizer_folder, *options)
    return root / "clicks"


@pytest.fixture
def clicks(reviewable: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(reviewable, tmp_path / "clicks"))
