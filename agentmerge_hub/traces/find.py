"""Find episodes under folders, however deep and in whatever mixture of formats, by what each format writes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from agentmerge_hub.errors import UserError
from agentmerge_hub.files.folder_kinds import is_dataset, is_model
from agentmerge_hub.traces.formats import browsergym, cube, detection, documents


@dataclass(frozen=True, order=True)
class Found:
    """One episode. `source` is its path relative to the root that it was found under, with ``/``."""

    source: str
    folder: Path
    """The folder of the episode, or the file that holds it."""

    @property
    def identity(self) -> tuple[str, int]:
        """Equal for the same episode, however it was reached."""
        return str(self.folder.resolve()), 0


@dataclass(frozen=True, order=True)
class FoundIn(Found):
    """One episode of another format than BrowserGym's."""

    format: str = ""
    """``cube``, ``atif``, ``adp``, ``session-trace``, ``unreadable``, or a key of `detection.NOT_READ`."""
    number: int = 0
    """Which entry of the file it is: a document, or a part that is none."""

    @property
    def identity(self) -> tuple[str, int]:
        return str(self.folder.resolve()), self.number


def find_episodes(roots: list[Path]) -> list[Found]:
    """Episodes under the roots, sorted by source. A root may be a file of trajectories. Links to folders are not followed; one
    to an episode, or to a folder with episodes, that is not under its root is an entry that cannot be read.

    With several roots, the root's own name is the first part of the source, so that equal names stay apart. Episodes that
    AgentLab or CUBE ran again, whose folders they renamed, are left out.

    Raises:
        UserError: if a root is missing, holds no episode, or only files that are not read, or a folder in it cannot be listed.
    """
    found: dict[tuple[str, int], Found] = {}
    for root in roots:
        if not root.exists():
            raise UserError(f"no folder {root}: give a folder of traces")
        episodes = list(_episodes(root, several=len(roots) > 1) if root.is_dir() else _of_file(root))
        _check_some_is_read(episodes, root)
        before = len(found)
        for one in episodes:
            found.setdefault(one.identity, one)
        if len(found) == before and not any(Path(path).is_relative_to(root.resolve()) for path, _ in found):
            if kind := "model" if is_model(root) else "dataset" if is_dataset(root) else "":
                raise UserError(f"{root} is a {kind} folder, not one of traces: give the folder that `collect` wrote")
            raise UserError(
                f"no traces in {root}: expected folders with exp_args.pkl and step_0.pkl.gz, as AgentLab writes them, or "
                "trajectories of CUBE, ATIF or the Agent Data Protocol"
            )
    return sorted(found.values(), key=lambda one: one.source)


def _of_file(path: Path) -> list[Found]:
    """Episodes of a file that is given by itself.

    Raises:
        UserError: if it holds none.
    """
    siblings = [beside.name for beside in path.parent.iterdir()] if path.suffix == ".jsonl" else []
    found = list(_in_file(path, siblings, _as_utf8(path.name)))
    if not found:
        raise UserError(
            f"{path} is no file of trajectories: give the folder of the traces or of a built dataset, or a .json or .jsonl file (also "
            ".gz) of CUBE, ATIF, the Agent Data Protocol or `agentmerge export`"
        )
    return found


def _check_some_is_read(episodes: list[Found], root: Path) -> None:
    """Raise UserError if all that was found is in files that are not read."""
    reasons = [detection.NOT_READ.get(one.format) if isinstance(one, FoundIn) else None for one in episodes]
    if episodes and all(reasons):
        raise UserError(f"{episodes[0].folder} {reasons[0]}")


def _episodes(root: Path, several: bool) -> Iterator[Found]:
    def source(path: Path) -> str:
        name = path.relative_to(root).as_posix()
        if name == "." or several:
            name = f"{root.resolve().name}/{name}".removesuffix("/.")
        return _as_utf8(name)

    for parent, folders, files in os.walk(root, onerror=_refuse_unlisted):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and ".archived_" not in name)
        folder = Path(parent)
        if folders or files:
            _check_can_be_entered(folder)
        for link in (folder / name for name in folders if _leads_to_episodes(folder / name, root)):
            yield FoundIn(source(link), link, "link", -1)
        if browsergym.is_episode(files):
            if folder == root or not browsergym.is_superseded(folder):
                yield Found(source(folder), folder)
        elif cube.is_episode(files):
            folders.clear()
            yield FoundIn(source(folder), folder, "cube")
        else:
            for name in sorted(files):
                yield from _in_file(folder / name, files, source(folder / name))


def _check_can_be_entered(folder: Path) -> None:
    """Raise UserError for a folder whose names can be listed, but whose files cannot be opened."""
    try:
        os.stat(f"{folder}/.")  # noqa: PTH116  # a Path leaves the dot out
    except OSError as error:
        _refuse_unlisted(error)


def _refuse_unlisted(error: OSError) -> NoReturn:
    """Any number of episodes can be in a folder that cannot be listed, so it is no entry that is set aside."""
    folder = os.fsdecode(error.filename).removesuffix("/.")
    raise UserError(
        f"the folder {folder} cannot be read ({error.strerror}), and any number of episodes may be in it: change its permissions, "
        "or move it out of the traces"
    ) from None


def _leads_to_episodes(path: Path, root: Path) -> bool:
    """Whether a folder is a link to an episode, or to a folder with episodes, outside of the root."""
    if not path.is_symlink() or path.resolve().is_relative_to(root.resolve()):
        return False
    try:
        inside = [path, *(child for child in path.iterdir() if child.is_dir())]
        return any(browsergym.is_episode(names) or cube.is_episode(names) for names in map(os.listdir, inside))
    except OSError:
        return False


def _in_file(path: Path, siblings: list[str], source: str) -> Iterator[Found]:
    """Episodes that are a file, or documents in it."""
    if cube.is_trajectory(path.name, siblings):
        yield FoundIn(source, path, "cube")
    elif path.name.endswith(detection.SUFFIXES) and (kind := detection.format_of(path)):
        labels = [""] if kind in detection.NOT_READ else documents.labels(path)
        for number, label in enumerate(labels):
            yield FoundIn(source + label, path, kind, number)


def _as_utf8(name: str) -> str:
    """A path as text; bytes that are no UTF-8 become escapes such as ``\\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
