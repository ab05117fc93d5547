"""A published dataset or model → a local folder with exactly the files of its manifest, each with its hash.

Resumes interrupted downloads. The output folder appears only when it is complete and checked.
"""

import glob
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi, RepoFile, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import RepositoryNotFoundError

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files import output_folder
from agentmerge_hub.publishing.hub.errors import FULL, causes, sentences
from agentmerge_hub.publishing.hub.repository import ADDED_BY_HUB, Repository, check_id, listed, read_info
from agentmerge_hub.publishing.hub.withdrawn import WITHDRAWN, entry_of, read_withdrawn
from agentmerge_hub.sizes import size_text

CARD = "README.md"
_RESUME = "run the same command again to resume"


@dataclass(frozen=True)
class Downloaded:
    """A checked folder."""

    folder: Path
    kind: str
    commit: str
    n_files: int
    n_bytes: int
    unlisted: tuple[str, ...]
    """Files of the repository that its manifest does not list: they were not downloaded."""
    card_edited: bool
    """Whether the card was edited on the Hub after the push."""


def download(
    repo_id: str,
    kind: str | None = None,
    revision: str | None = None,
    out: str | Path | None = None,
    allow_withdrawn: bool = False,
    skip_unlisted: bool = False,
) -> Downloaded:
    """Fetch a release and check it.

    Args:
        repo_id: ``ORG/NAME``.
        kind: ``model`` or ``dataset``; looked up if None.
        revision: a branch, tag or commit; the newest state of main if None.
        out: a folder to write; Hugging Face's cache if None.
        allow_withdrawn: whether a withdrawn release is fetched.
        skip_unlisted: whether files that the manifest does not list are left out, instead of an error.

    Raises:
        UserError: no such repository or revision, one that this package did not publish, a withdrawn release, a full disk,
            a broken connection, files that differ from the manifest, or files that it does not list. `out` is then not written.
    """
    api, out = HfApi(), Path(out) if out is not None else None
    repository = Repository(kind or find_kind(check_id(repo_id)), check_id(repo_id))
    if revision is not None and not revision.strip():
        raise UserError("--revision is empty: name a tag, a branch or a commit, or leave it out.")
    with sentences(repository, "nothing was downloaded"):
        commit = str(read_info(api, repository, revision).sha)
    with sentences(repository, _RESUME):
        names = api.list_repo_files(repo_id, repo_type=repository.kind, revision=commit)
        if manifest.NAME not in names:
            raise UserError(
                f"{repository} has no {manifest.NAME} to check it against, so agentmerge has not published it: "
                f"fetch it with `hf download {repo_id} --repo-type {repository.kind}`."
            )
        listing = hf_hub_download(repo_id, manifest.NAME, repo_type=repository.kind, revision=commit)
        content = manifest.read(Path(listing).parent)
        if not allow_withdrawn:
            _check_not_withdrawn(api, repository, content)
    files = [manifest.NAME, *content["outputs"]]
    if missing := sorted(set(files) - set(names)):
        raise UserError(
            f"{repository} lacks files that its manifest lists ({listed(missing)}): choose the tag of a release with --revision; "
            "nothing was downloaded."
        )
    unlisted = sorted(set(names) - set(files) - ADDED_BY_HUB - {WITHDRAWN})
    if unlisted and not skip_unlisted:
        raise UserError(
            f"{repository} has files that its manifest does not list ({listed(unlisted)}): choose the tag of a release with "
            "--revision, ask the publisher to remove them, or leave them out with --skip-unlisted; nothing was downloaded."
        )
    check_space(repository, commit, files, out)
    if out is None:
        folder = _to_cache(repository, commit, files)
    else:
        folder = _to_folder(repository, commit, files, content, out)
    edited = CARD in content["outputs"] and manifest.read(folder)["outputs"] != content["outputs"]
    return Downloaded(
        folder,
        repository.kind,
        commit,
        len(content["outputs"]),
        sum((folder / name).stat().st_size for name in content["outputs"]),
        tuple(unlisted),
        edited or bool(manifest.is_changed(folder, CARD)),
    )


def find_kind(repo_id: str, then: str = "nothing was downloaded") -> str:
    """``model`` or ``dataset``, whichever of this id exists.

    Args:
        then: the state of the work, for the sentence of an error.

    Raises:
        UserError: if none or both exist.
    """
    api, found = HfApi(), []
    for kind in ("model", "dataset"):
        with sentences(Repository(kind, repo_id), then):
            try:
                api.repo_info(repo_id, repo_type=kind)
                found.append(kind)
            except RepositoryNotFoundError:
                continue
    if len(found) == 2:
        raise UserError(f"{repo_id} is the name of a model and of a dataset: say which with --type.")
    if not found:
        raise UserError(
            f"There is no model and no dataset {repo_id} on {constants.ENDPOINT} that your token may read; "
            "a private one needs `hf auth login`, or HF_TOKEN set."
        )
    return found[0]


def _check_not_withdrawn(api: HfApi, repository: Repository, content: dict[str, Any]) -> None:
    if WITHDRAWN not in api.list_repo_files(repository.id, repo_type=repository.kind):
        return
    if withdrawn := entry_of(read_withdrawn(api, repository, "main"), content["outputs"]):
        raise UserError(
            f"The release {withdrawn[0]} of {repository} was withdrawn {withdrawn[1]}: choose another --revision, or pass "
            "--allow-withdrawn; nothing was downloaded."
        )


def _to_cache(repository: Repository, commit: str, files: list[str]) -> Path:
    with sentences(repository, _RESUME):
        folder = Path(_fetch(repository, commit, files))
    findings = _differences(folder, files)
    if findings:
        raise UserError(
            f"{repository} differs from its manifest ({'; '.join(findings)}): its copy in the cache is damaged or the "
            f"repository was changed by hand; download to a folder with -o, or remove {folder.parents[1]} and try again."
        )
    return folder


def _to_folder(repository: Repository, commit: str, files: list[str], content: dict[str, Any], out: Path) -> Path:
    beside = out.with_name(f".{out.name}.download")
    with output_folder.new_folder(out, content["stage"]) as folder:
        try:
            with sentences(repository, f"{out} was not written; {_RESUME}"):
                _fetch(repository, commit, files, beside)
        except UserError as error:
            if any(isinstance(cause, OSError) and cause.errno in FULL for cause in causes(error)):
                shutil.rmtree(beside, ignore_errors=True)
            raise
        shutil.rmtree(beside / ".cache", ignore_errors=True)
        _remove_others(beside, files)
        if findings := _differences(beside, files):
            shutil.rmtree(beside)
            raise UserError(
                f"{repository} differs from its manifest ({'; '.join(findings)}): it was changed after it was published, or "
                f"damaged on the way; {out} was not written."
            )
        if manifest.is_changed(beside, CARD):
            manifest.update_output(beside, CARD)
        for path in beside.iterdir():
            path.rename(folder / path.name)
        beside.rmdir()
    return out


def _fetch(repository: Repository, commit: str, files: Iterable[str], folder: Path | None = None) -> str:
    """Exactly these files; into the cache if no folder is given."""
    exact = [glob.escape(name) for name in files]
    return snapshot_download(
        repository.id, repo_type=repository.kind, revision=commit, local_dir=folder, allow_patterns=exact
    )


def _remove_others(folder: Path, files: list[str]) -> None:
    """Remove what an interrupted download of another commit left."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()


def check_space(repository: Repository, commit: str, files: Iterable[str], out: Path | None) -> None:
    """Raise UserError unless the disk has space for the rest of the download.

    Args:
        out: the folder to write; Hugging Face's cache if None.
    """
    kind, wanted = repository.kind, set(files)
    with sentences(repository, "nothing was downloaded"):
        tree = HfApi().list_repo_tree(repository.id, repo_type=kind, revision=commit, recursive=True)
        sizes = {file.path: file.size for file in tree if isinstance(file, RepoFile) and file.path in wanted}

    def is_there(name: str) -> bool:
        if out is not None:
            return (out.with_name(f".{out.name}.download") / name).is_file()
        return isinstance(try_to_load_from_cache(repository.id, name, revision=commit, repo_type=kind), str)

    needed = sum(size for name, size in sizes.items() if not is_there(name))
    place = Path(constants.HF_HUB_CACHE) if out is None else out.absolute().parent
    while not place.exists():
        place = place.parent
    with os_errors_as_sentences():
        free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"{repository} needs {size_text(needed)} and the disk of {place} has {size_text(free)} left: "
            "make room, or choose a folder on another disk with -o; nothing was downloaded."
        )


def _differences(folder: Path, files: list[str]) -> list[str]:
    """Differences from the manifest, one clause each. An edited card differs only if it changes which files are loaded."""
    findings = [finding for finding in manifest.verify(folder, files) if not finding.startswith(f"{CARD} was changed")]
    findings += [f"{name} is not in the manifest" for name in _foreign(folder, files)]
    if manifest.is_changed(folder, CARD) and (reason := _loads_elsewhere(folder / CARD)):
        findings.append(reason)
    return findings


def _foreign(folder: Path, files: list[str]) -> list[str]:
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return sorted(present - set(files) - ADDED_BY_HUB - {WITHDRAWN})


def _loads_elsewhere(card: Path) -> str | None:
    """Whether the card's metadata lets `load_dataset` read files outside of data/ and sessions/."""
    block = re.match(r"\s*---\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        metadata = yaml.safe_load(block[1]) if block else {}
    except yaml.YAMLError:
        return f"{CARD} has broken metadata"
    configs = metadata.get("configs") or [] if isinstance(metadata, dict) else []
    paths = re.findall(r'"(?:path|data_dir)": "([^"]*)"', json.dumps(configs, default=str))
    if len(paths) < json.dumps(configs, default=str).count('"data_files"') or any(
        not path.startswith(("data/", "sessions/")) or ".." in path for path in paths
    ):
        return f"{CARD} was edited to load other files"
    return None
