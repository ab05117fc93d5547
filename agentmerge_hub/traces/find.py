"""Find episodes under folders, however deep, by the files that each format writes."""

import os
from dataclasses import dataclass
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.traces import browsergym


@dataclass(frozen=True, order=True)
class Found:
    """One episode. `source` is its path relative to the root that it was found under, with ``/``."""

    source: str
    folder: Path


def find_episodes(roots: list[Path]) -> list[Found]:
    """Episodes under the roots, sorted by source. Links to folders are not followed.

    With several roots, the root's own name is the first part of the source, so that equal names stay apart. Episodes that
    AgentLab ran again, whose folders it renamed to ``_…``, are left out.

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
            folder = Path(parent)
            if browsergym.is_episode(files) and (folder == root or not browsergym.is_superseded(folder)):
                source = folder.relative_to(root).as_posix()
                if source == "." or len(roots) > 1:
                    source = f"{root.resolve().name}/{source}".removesuffix("/.")
                found.setdefault(folder.resolve(), Found(_as_utf8(source), folder))
        if len(found) == before and not any(path.is_relative_to(root.resolve()) for path in found):
            raise UserError(
                f"no traces in {root}: expected folders with exp_args.pkl and step_0.pkl.gz, as AgentLab writes them"
            )
    return sorted(found.values())


def _as_utf8(name: str) -> str:
    """A path as text; bytes that are no UTF-8 become escapes such as ``\\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
