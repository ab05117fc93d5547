"""Provenance: the manifest.json of every output says what a stage read, with which settings, and what it wrote.

A folder with a manifest is finished; one without is not. A manifest is evidence to compare with: hashes are always taken
from the files.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agentmerge_hub import __version__
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import locks, strict_json
from agentmerge_hub.files.atomic_write import is_partial, write_text
from agentmerge_hub.files.content_hash import combined_hash, file_hash, file_hashes

NAME = "manifest.json"

TRAINED = ("sft", "preference")
"""Stages that train a model."""

PACKAGES = (
    "torch", "transformers", "tokenizers", "trl", "peft", "accelerate", "datasets", "huggingface_hub", "pyarrow",
    "mergekit", "agentlab", "browsergym-core", "browsergym-miniwob", "browsergym-workarena",
)  # fmt: skip


def write(
    folder: Path,
    stage: str,
    *,
    inputs: Mapping[str, Path] | None = None,
    recorded_inputs: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    counts: Mapping[str, Any] | None = None,
    started: float | None = None,
    known: Mapping[Path, Mapping[str, str]] | None = None,
) -> Path:
    """Write manifest.json, the marker that a folder is finished. Call it last.

    Args:
        folder: the stage's output; every file in it is hashed.
        stage: the verb, e.g. ``build``.
        inputs: folders that were read, by role, e.g. ``{"dataset": path}``. An entry says the hash of the files that a stage
            reads, what the folder's own manifest says of its inputs, and which files changed since that was written.
        recorded_inputs: entries of an earlier manifest that this one keeps, for output that is changed without reading its
            inputs again.
        config: the stage's settings, JSON values only; no secrets.
        counts: the stage's own figures, for tables.
        started: time.time() at the start, for the stage's duration.
        known: hashes that the caller took when it read the files, by folder (an input's, or this one's) and file name:
            large models are read once, and an input that changes later is recorded as it was.
    """
    names, known = _files(folder), known or {}
    taken = known.get(folder, {})
    content = {
        "stage": stage,
        "agentmerge_hub": __version__,
        "inputs": {
            **(recorded_inputs or {}),
            **{role: input_entry(path, known.get(path)) for role, path in sorted((inputs or {}).items())},
        },
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


def _files(folder: Path) -> list[str]:
    present = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in present if not is_partial(path))
    return sorted(name for name in names if name not in (NAME, locks.NAME))


def input_entry(path: Path, known: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a manifest says of an input: its hash, and what its own manifest says; `known` as in `write`, of this folder."""
    hashes = known if known is not None else file_hashes(path)
    entry: dict[str, Any] = {"name": Path(os.path.abspath(path)).name, "sha256": combined_hash(hashes)}  # noqa: PTH100
    with contextlib.suppress(UserError):  # another program's manifest
        if (inner := of_model(path)) is None:
            return entry
        entry |= {"stage": inner["stage"], "seconds": inner["run"]["seconds"], "inputs": inner["inputs"]}
        outputs = inner["outputs"]
        if changed := sorted(name for name, sha in hashes.items() if outputs.get(name, {}).get("sha256") != sha):
            entry["changed"] = changed
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
        UserError: if there is none, or it cannot be read or is not one that this package wrote.
    """
    path = folder / NAME
    try:
        content = strict_json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if not folder.exists():
            raise UserError(f"there is no folder {folder}: correct the path") from None
        raise UserError(
            f"{folder} is not the finished output of a stage (it has no {NAME}): give the folder that a stage wrote, or "
            "run the stage to its end"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): change its permissions, or choose another folder"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): restore it, or choose another folder") from error
    if problem := _problem(content):
        raise UserError(f"{path} is not a manifest of this package: {problem}: restore it, or choose another folder")
    return content


def of_part(folder: Path) -> dict[str, Any] | None:
    """The manifest of the folder around one, with the files of this one as its outputs; None if it lists none of them.

    Raises:
        UserError: as `read`.
    """
    around, prefix = folder.resolve().parent, f"{folder.resolve().name}/"
    if not (around / NAME).is_file():
        return None
    content = read(around)
    outputs = {
        name.removeprefix(prefix): entry for name, entry in content["outputs"].items() if name.startswith(prefix)
    }
    return content | {"outputs": outputs} if outputs else None


def of_model(folder: Path) -> dict[str, Any] | None:
    """The manifest that says how the model or adapter in a folder was made: its own, or that of the run around its adapter, which
    lists these weights; None if there is none.

    Raises:
        UserError: as `read`, of its own.
    """
    if (folder / NAME).is_file():
        return read(folder)
    with contextlib.suppress(UserError):  # the folder around it may be anything
        run = of_part(folder)
        if run and run["stage"] in TRAINED and _is_final_adapter(folder, run["outputs"]):
            return run
    return None


def _is_final_adapter(folder: Path, outputs: Mapping[str, Any]) -> bool:
    """Whether a part of a run with these files is the adapter at its end, as it was written. (A checkpoint has a manifest.)"""
    weights = [name for name in outputs if name.startswith("adapter_model")]
    hashes = file_hashes(folder, weights.__contains__) if folder.is_dir() else {}
    kept = all(hashes.get(name) == outputs[name]["sha256"] for name in weights)
    return "adapter_config.json" in outputs and NAME not in outputs and kept


def of_run(folder: Path) -> dict[str, Any] | None:
    """`of_model`, if it was trained here; else None."""
    found = of_model(folder)
    return found if found and found["stage"] in TRAINED else None


def _problem(content: Any) -> str | None:
    """Why a value is no manifest; None if it is one."""
    if not isinstance(content, dict):
        return "it is not a JSON object"
    if not isinstance(content.get("stage"), str):
        return "`stage` is not a string"
    for key in ("inputs", "config", "counts", "outputs", "run"):
        if not isinstance(content.get(key), dict):
            return f"`{key}` is not an object"
    if not isinstance(content.get("versions", {}), dict):
        return "`versions` is not an object"
    if "seconds" not in content["run"]:
        return "`run` has no `seconds`"
    for name, entry in content["outputs"].items():
        if name.startswith("/") or ".." in name.split("/"):
            return f"the output {name!r} is outside of the folder"
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            return f"the output {name!r} has no `sha256`"
    return _problem_of_inputs(content["inputs"])


def _problem_of_inputs(inputs: Any) -> str | None:
    if not isinstance(inputs, dict):
        return "the `inputs` of an input are not an object"
    for role, entry in inputs.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
            return f"the input {role!r} has no `sha256`"
        if problem := _problem_of_inputs(entry.get("inputs") or {}):
            return problem
    return None


def unlisted(folder: Path) -> list[str]:
    """Names of the files of a folder that its manifest does not list."""
    return sorted(set(_files(folder)) - read(folder)["outputs"].keys())


def is_changed(folder: Path, name: str) -> bool:
    """Whether an output is there with another content than the stage wrote."""
    entry = read(folder)["outputs"].get(name)
    return entry is not None and (folder / name).is_file() and file_hash(folder / name) != entry["sha256"]


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


def update_output(folder: Path, name: str) -> None:
    """Record the present content of one output, after a change that is allowed, e.g. an edited card."""
    content = read(folder)
    path = folder / name
    content["outputs"][name] = {"sha256": file_hash(path), "bytes": path.stat().st_size}
    write_text(folder / NAME, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
