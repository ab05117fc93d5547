"""Find episode folders: every folder that holds the step files BrowserGym's experiment loop writes, however deep."""

import os
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub.errors import UserError


@dataclass(frozen=True, order=True)
class Found:
    """One episode folder. `source` is its path relative to the root it was found under, with ``/``."""

    source: str
    folder: Path


def find_episodes(roots: list[Path]) -> list[Found]:
    """Episode folders under the roots, sorted by source. Links are not followed.

    With several roots, the root's own name is the first part of the source, so that equal names stay apart.

    Raises:
        UserError: if a root is missing or holds no episode.
    """
    found: dict[Path, Found] = {}
    for root in roots:
        if not root.is_dir():
            raise UserError(f"no folder {root}: give a folder of AgentLab or BrowserGym results")
        before = len(found)
        for parent, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if "exp_args.pkl" in files or any(_is_step(name) for name in files):
                folder = Path(parent)
                source = folder.relative_to(root).as_posix()
                if source == "." or len(roots) > 1:
                    source = f"{root.resolve().name}/{source}".removesuffix("/.")
                found.setdefault(folder.resolve(), Found(source, folder))
        if len(found) == before and not any(path.is_relative_to(root.resolve()) for path in found):
            raise UserError(
                f"no traces in {root}: expected folders with exp_args.pkl and step_0.pkl.gz, as AgentLab writes them"
            )
    return sorted(found.values())


def step_files(folder: Path) -> list[tuple[int, Path]]:
    """The step files of an episode folder with their numbers, in order."""
    return sorted(
        (int(path.name.split("_")[1].split(".")[0]), path) for path in folder.iterdir() if _is_step(path.name)
    )


def _is_step(name: str) -> bool:
    number = name.removeprefix("step_").removesuffix(".gz").removesuffix(".pkl")
    return name.startswith("step_") and name.removesuffix(".gz").endswith(".pkl") and number.isdigit()
