"""Repositories on the Hub: their ids, their files and tags."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import DatasetInfo, HfApi, ModelInfo, RepoFile, constants

from agentmerge_hub.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")

ADDED_BY_HUB = frozenset({".gitattributes"})
"""Files that the Hub adds to every repository."""
_MAX_NAMES = 10
"""Files that a message names."""


@dataclass(frozen=True)
class Repository:
    """A repository on the Hub: ``kind`` is ``model`` or ``dataset``, ``id`` is ``ORG/NAME``."""

    kind: str
    id: str

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    @property
    def name(self) -> str:
        return self.id.split("/")[1]

    @property
    def url(self) -> str:
        return f"{constants.ENDPOINT}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"

    def __str__(self) -> str:
        return f"the {self.kind} {self.id}"


def check_id(repo_id: str) -> str:
    """`repo_id` as it is, if the Hub allows such a name; UserError otherwise."""
    parts = repo_id.split("/")
    allowed = len(parts) == 2 and all(_NAME.fullmatch(part) and not re.search(r"--|\.\.", part) for part in parts)
    if not allowed or repo_id.endswith(".git") or len(repo_id) > 96:
        raise UserError(
            f"{repo_id!r} is not a name the Hub allows: write ORG/NAME with letters, digits, '-', '_' and '.', "
            "neither first nor last '-' or '.', without '--' or '..', at most 96 characters in all."
        )
    return repo_id


def read_info(api: HfApi, repository: Repository, revision: str | None = None) -> ModelInfo | DatasetInfo:
    """What the Hub says of a repository.

    Raises:
        UserError: if it has another name today: the Hub redirects the earlier one, which files and links would go on to name.
    """
    info = api.repo_info(repository.id, repo_type=repository.kind, revision=revision)
    assert isinstance(info, (ModelInfo, DatasetInfo))  # the only kinds of repositories here
    if info.id != repository.id:
        raise UserError(f"{repository} has the name {info.id} on the Hub: use that name.")
    return info


def listed(names: Sequence[str]) -> str:
    """The first names of files for a sentence, and how many more there are. Strangers choose them: control characters are escaped."""
    shown = [name if name.isprintable() else ascii(name) for name in names[:_MAX_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def files_on_hub(api: HfApi, repository: Repository, revision: str) -> dict[str, str]:
    """Path → identity of each file: the sha256 of a large file, the git blob's sha1 of a small one."""
    tree = api.list_repo_tree(repository.id, repo_type=repository.kind, revision=revision, recursive=True)
    return {f.path: f.lfs.sha256 if f.lfs else f.blob_id for f in tree if isinstance(f, RepoFile)}


def tags_on_hub(api: HfApi, repository: Repository) -> dict[str, str]:
    """Tag → commit."""
    refs = api.list_repo_refs(repository.id, repo_type=repository.kind)
    return {ref.name: ref.target_commit for ref in refs.tags}


def read_on_hub(api: HfApi, repository: Repository, name: str, revision: str) -> bytes:
    """The content of a small file."""
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(repository.id, name, repo_type=repository.kind, revision=revision, local_dir=folder)
        return Path(path).read_bytes()
