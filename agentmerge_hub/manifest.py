"""Lineage and whole outputs: every stage writes one folder, and says in its manifest.json what it read and how.

A folder with a manifest is finished; one without is not. Folders are written beside their place and renamed into it,
so that a reader never meets half of one.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agentmerge_hub import __version__
from agentmerge_hub.errors import UserError

NAME = "manifest.json"

PACKAGES = (
    "torch", "transformers", "tokenizers", "trl", "peft", "accelerate", "datasets", "huggingface_hub", "pyarrow",
    "mergekit", "agentlab", "browsergym-core", "browsergym-miniwob", "browsergym-workarena",
)  # fmt: skip


def file_hash(path: Path) -> str:
    """sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_hash(folder: Path) -> str:
    """One sha256 for a folder: over the sorted names and hashes of its files, its manifest left out.

    A finished folder's files are not read again: their hashes stand in its manifest.
    """
    return _digest(file_hashes(folder))


def file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file of a folder by name, its manifest left out; a finished folder's stand in its manifest."""
    if (folder / NAME).is_file():
        return {name: entry["sha256"] for name, entry in read(folder)["outputs"].items()}
    return {name: file_hash(folder / name) for name in _files(folder)}


def _digest(hashes: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(f"{name}\0{sha}\n" for name, sha in sorted(hashes.items())).encode()).hexdigest()


def _files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    return sorted(path.relative_to(folder).as_posix() for path in found)


def write(
    folder: Path,
    stage: str,
    *,
    inputs: Mapping[str, Path] | None = None,
    config: Mapping[str, Any] | None = None,
    counts: Mapping[str, Any] | None = None,
    started: float | None = None,
    known: Mapping[Path, Mapping[str, str]] | None = None,
) -> Path:
    """Write manifest.json, the marker that a folder is finished. Call it last.

    Args:
        folder: the stage's output; every file in it is hashed.
        stage: the verb, e.g. ``build``.
        inputs: folders that were read, by role, e.g. ``{"dataset": path}``.
        config: the stage's settings, JSON values only; no secrets.
        counts: the stage's own figures, for tables.
        started: time.time() at the start, for the stage's duration.
        known: hashes that the caller has taken already, by folder (an input's, or this one's) and file: large models are
            read once.
    """
    names, known = _files(folder), known or {}
    taken = known.get(folder, {})
    content = {
        "stage": stage,
        "agentmerge_hub": __version__,
        "inputs": {role: _input(path, known.get(path)) for role, path in sorted((inputs or {}).items())},
        "config": dict(config or {}),
        "counts": dict(counts or {}),
        "outputs": {
            name: {"sha256": taken.get(name) or file_hash(folder / name), "bytes": (folder / name).stat().st_size}
            for name in names
        },
        "versions": _versions(),
        "run": {
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.time() - started, 1) if started else None,
        },
    }
    path = folder / NAME
    write_text(path, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return path


def _input(path: Path, known: Mapping[str, str] | None) -> dict[str, Any]:
    sha = _digest(known) if known is not None else folder_hash(Path(path))
    entry: dict[str, Any] = {"name": Path(path).name, "sha256": sha}
    if (Path(path) / NAME).is_file():
        inner = read(Path(path))
        entry |= {"stage": inner["stage"], "seconds": inner["run"]["seconds"], "inputs": inner["inputs"]}
    return entry


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a finished folder.

    Raises:
        UserError: if there is none or it cannot be read.
    """
    path = folder / NAME
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} has no {NAME}: it is not the finished output of a stage") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def verify(folder: Path, only: Collection[str] | None = None) -> list[str]:
    """What differs between a folder and its manifest, a sentence each; empty if nothing does.

    Args:
        only: names of files to look at; all if None.
    """
    outputs = read(folder)["outputs"]
    present = set(_files(folder))
    if only is not None:
        outputs = {name: entry for name, entry in outputs.items() if name in only}
        present &= set(only)
    findings = [f"{name} is missing" for name in outputs if name not in present]
    findings += [f"{name} is not in the manifest" for name in sorted(present - set(outputs))]
    for name, entry in outputs.items():
        if name in present and file_hash(folder / name) != entry["sha256"]:
            findings.append(f"{name} was changed since it was written")
    return findings


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


@contextlib.contextmanager
def new_folder(out: Path, stage: str) -> Iterator[Path]:
    """A folder that appears under its name only when the block ends without an error.

    Yields a folder beside `out` to write in; write its manifest inside the block. An earlier finished output of the same
    stage is replaced; anything else that stands at `out` is never touched.

    Raises:
        UserError: if `out` holds something that this stage did not make.
    """
    out = Path(out)
    check_replaceable(out, stage)
    out.parent.mkdir(parents=True, exist_ok=True)
    sweep_partials(out)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        yield partial
        _sync(partial)
        if out.exists():
            old = out.with_name(f".{out.name}.{os.getpid()}.old")
            out.rename(old)
            partial.rename(out)
            shutil.rmtree(old)
        else:
            partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def check_replaceable(out: Path, stage: str) -> None:
    """Raise UserError unless `out` is free, empty, or an earlier output of the same stage."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / NAME).is_file() or read(out)["stage"] != stage:
        raise UserError(f"{out} already exists and `{stage}` did not make it: choose another place or move it away")


def sweep_partials(out: Path) -> None:
    """Remove what interrupted runs left beside `out`, where the process that wrote it is gone."""
    for path in out.parent.glob(f".{out.name}.*"):
        pid, _, kind = path.name.removeprefix(f".{out.name}.").partition(".")
        if kind not in ("partial", "old") or not pid.isdigit() or _alive(int(pid)):
            continue
        if kind == "old" and not out.exists():
            path.rename(out)
        else:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
