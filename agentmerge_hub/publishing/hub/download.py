"""A published dataset or model → a local folder whose files all have the hashes of its manifest.

Resumes interrupted downloads. The output folder appears only when it is complete and checked.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, RepoFile, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import RepositoryNotFoundError

from agentmerge_hub import manifest, output_folder
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.repository import FULL, Repository, causes, check_id, sentences

ADDED_BY_HUB = [".gitattributes"]
"""Files that the Hub adds to every repository."""


@dataclass(frozen=True)
class Downloaded:
    """A checked folder; `unchecked` names files that the repository holds beside what was published."""

    folder: Path
    kind: str
    commit: str
    n_files: int
    n_bytes: int
    unchecked: tuple[str, ...]


def download(repo_id: str, kind: str | None = None, revision: str | None = None, out: Path | None = None) -> Downloaded:
    """Fetch a repository and check it.

    Args:
        repo_id: ``ORG/NAME``.
        kind: ``model`` or ``dataset``; looked up if None.
        revision: a branch, tag or commit; the newest state of main if None.
        out: a folder to write; Hugging Face's cache if None.

    Raises:
        UserError: no such repository or revision, one that this package did not publish, a full disk, a broken
            connection, or files that differ from the manifest. `out` is then not written.
    """
    api = HfApi()
    repository = Repository(kind or _kind(api, check_id(repo_id)), repo_id)
    kept = "run the same command again to resume"
    with sentences(repository, kept):
        commit = api.repo_info(repo_id, repo_type=repository.kind, revision=revision).sha
        names = api.list_repo_files(repo_id, repo_type=repository.kind, revision=commit)
    if manifest.NAME not in names:
        raise UserError(
            f"{repository} has no {manifest.NAME} to check it against, so agentmerge has not published it: "
            f"fetch it with `hf download {repo_id}`."
        )
    fetch = _to_cache if out is None else _to_folder
    folder, unchecked = fetch(repository, revision or "main", commit, out)
    outputs = manifest.read(folder)["outputs"]
    return Downloaded(
        folder, repository.kind, commit, len(outputs), sum(entry["bytes"] for entry in outputs.values()), unchecked
    )


def _kind(api: HfApi, repo_id: str) -> str:
    found = []
    for kind in ("model", "dataset"):
        with sentences(Repository(kind, repo_id), "nothing was downloaded"):
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


def _to_cache(repository: Repository, revision: str, commit: str, _: None) -> tuple[Path, tuple[str, ...]]:
    check_space(repository, commit, Path(constants.HF_HUB_CACHE))
    with sentences(repository, "run the same command again to resume"):
        folder = Path(snapshot_download(repository.id, repo_type=repository.kind, revision=revision))
        if folder.name != commit:
            raise UserError(f"{repository} changed while it was downloaded: run the same command again.")
    findings, unchecked = differences(folder)
    if findings:
        raise UserError(
            f"{repository} differs from its manifest ({'; '.join(findings)}): its copy in the cache is damaged or the "
            f"repository was changed by hand; remove {folder.parents[1]} and download again, or don't use it."
        )
    return folder, unchecked


def _to_folder(repository: Repository, revision: str, commit: str, out: Path) -> tuple[Path, tuple[str, ...]]:
    beside = out.with_name(f".{out.name}.download")
    with sentences(repository, "no output was written"):
        stage = manifest.read(_only_manifest(repository, commit))["stage"]
    output_folder.check_replaceable(out, stage)
    out.parent.mkdir(parents=True, exist_ok=True)
    check_space(repository, commit, out.parent, beside)
    try:
        with sentences(repository, f"{out} was not written; run the same command again to resume"):
            snapshot_download(
                repository.id,
                repo_type=repository.kind,
                revision=commit,
                local_dir=beside,
                ignore_patterns=ADDED_BY_HUB,
            )
    except UserError as error:
        if any(isinstance(cause, OSError) and cause.errno in FULL for cause in causes(error)):
            shutil.rmtree(beside, ignore_errors=True)
        raise
    shutil.rmtree(beside / ".cache", ignore_errors=True)
    findings, unchecked = differences(beside)
    if findings:
        shutil.rmtree(beside)
        raise UserError(
            f"{repository} differs from its manifest ({'; '.join(findings)}): it was changed after it was published, or "
            f"damaged on the way; {out} was not written."
        )
    _put_in_place(beside, out)
    return out, unchecked


def _only_manifest(repository: Repository, commit: str) -> Path:
    return Path(hf_hub_download(repository.id, manifest.NAME, repo_type=repository.kind, revision=commit)).parent


def _put_in_place(beside: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.replaced")
    if out.exists():
        out.rename(old)
    beside.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def check_space(repository: Repository, commit: str, place: Path, begun: Path | None = None) -> None:
    """Raise UserError unless the disk at `place` has space for the rest of the download.

    Args:
        begun: the folder of an interrupted download; Hugging Face's cache if None.
    """
    kind = repository.kind
    with sentences(repository, "nothing was downloaded"):
        tree = HfApi().list_repo_tree(repository.id, repo_type=kind, revision=commit, recursive=True)
        sizes = {file.path: file.size for file in tree if isinstance(file, RepoFile)}

    def is_there(name: str) -> bool:
        if begun is not None:
            return (begun / name).is_file()
        return isinstance(try_to_load_from_cache(repository.id, name, revision=commit, repo_type=kind), str)

    needed = sum(size for name, size in sizes.items() if not is_there(name))
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise UserError(
            f"{repository} needs {needed / 1e9:.2f} GB and the disk of {place} has {free / 1e9:.2f} GB left: "
            "make room, or choose a folder on another disk with -o; nothing was downloaded."
        )


def differences(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """Differences from the manifest, one clause each, and the files that the manifest does not list."""
    findings = manifest.verify(folder)
    extra = [finding for finding in findings if finding.endswith(" is not in the manifest")]
    unknown = [finding.removesuffix(" is not in the manifest") for finding in extra]
    return [f for f in findings if f not in extra], tuple(n for n in unknown if n not in ADDED_BY_HUB)
