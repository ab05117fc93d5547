"""Files → one commit on the Hub. Sends only what changed; a release appears whole or not at all.

Large files are sent first, by content hash, so that the next run after an interruption sends only the rest.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.utils import sha

from agentmerge_hub import content_hash, manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.repository import Repository, check_account, files_on_hub, sentences

Content = Path | bytes
_ADDED_BY_HUB = {".gitattributes"}


@dataclass(frozen=True)
class Publication:
    """The wanted state of a repository: all files by path, manifest.json included."""

    repository: Repository
    files: Mapping[str, Content]
    stage: str
    tag: str
    private: bool = False
    collection: str | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in self.files.items()
        }


@dataclass(frozen=True)
class Published:
    """Result of a push; `sent` and `removed` are empty if the Hub had every file."""

    url: str
    commit: str
    sent: tuple[str, ...]
    removed: tuple[str, ...]
    collection: str | None


def publish(publication: Publication) -> Published:
    """Bring a repository to the state of `publication` in one commit, then set its tag and collection.

    A second call resumes an interrupted one, and does nothing if nothing is new.

    Raises:
        UserError: no token or no write access, a repository with other content, a failing Hub or connection.
    """
    api, repository = HfApi(), publication.repository
    again = "nothing was published by this run; run the same command again to send only the rest"
    with sentences(repository, again):
        check_account(api, repository.namespace)
        api.create_repo(repository.id, repo_type=repository.kind, private=publication.private, exist_ok=True)
        info = api.repo_info(repository.id, repo_type=repository.kind)
        if publication.private and not info.private:
            raise UserError(f"{repository} is public already: leave --private out, or change it at {repository.url}.")
        sent, removed = _changes(api, publication, info.sha)
        head = _commit(api, publication, sent, removed, info.sha)
    with sentences(repository, f"the files are at {repository.url}; run the same command again for the rest"):
        _tag(api, publication, head)
        collection = _collect(api, publication)
    return Published(repository.url, head, tuple(sent), tuple(removed), collection)


def _changes(api: HfApi, publication: Publication, head: str) -> tuple[list[str], list[str]]:
    """Paths to send and paths to remove. Files that others added stay."""
    on_hub = files_on_hub(api, publication.repository, head)
    sent = [name for name, content in publication.files.items() if on_hub.get(name) not in _identities(content)]
    if not set(on_hub) - _ADDED_BY_HUB:
        return sent, []
    earlier = _manifest_on_hub(api, publication.repository, head)
    if earlier.get("stage") != publication.stage:
        raise UserError(
            f"{publication.repository} has other content (no manifest.json of `{publication.stage}`): "
            "choose another --repo-id."
        )
    removed = sorted((set(earlier["outputs"]) & set(on_hub)) - set(publication.files))
    if sent == [manifest.NAME] and _same_but_run(earlier, publication.files[manifest.NAME]):
        sent = []
    return sent, removed


def _identities(content: Content) -> tuple[str, str]:
    """The ids the Hub may give this content: as a small file, as a large file."""
    if isinstance(content, bytes):
        return sha.git_hash(content), sha.sha256(content).hexdigest()
    with content.open("rb") as file:
        small = sha.git_hash(file.read()) if content.stat().st_size < 2**25 else ""
    return small, content_hash.file_hash(content)


def _manifest_on_hub(api: HfApi, repository: Repository, revision: str) -> dict:
    if not api.file_exists(repository.id, manifest.NAME, repo_type=repository.kind, revision=revision):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(
            repository.id, manifest.NAME, repo_type=repository.kind, revision=revision, local_dir=folder
        )
        try:
            return json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError:
            return {}


def _same_but_run(earlier: dict, content: Content) -> bool:
    """Whether two manifests differ only in the time of the run: a second build gave the same bytes."""
    ours = json.loads(content if isinstance(content, bytes) else content.read_bytes())
    return {**ours, "run": None} == {**earlier, "run": None}


def _commit(api: HfApi, publication: Publication, sent: list[str], removed: list[str], head: str) -> str:
    if not sent and not removed:
        return head
    repository = publication.repository
    additions = [CommitOperationAdd(name, publication.files[name]) for name in sent]
    made = api.create_commit(
        repository.id,
        [*additions, *(CommitOperationDelete(name) for name in removed)],
        commit_message=f"{publication.tag}: {len(sent)} files new or changed, {len(removed)} removed",
        repo_type=repository.kind,
        # A commit by someone else since then is never overwritten.
        parent_commit=head,
    )
    return made.oid


def _tag(api: HfApi, publication: Publication, commit: str) -> None:
    """Set the tag to this commit: loaders that pin a schema version get its newest data."""
    repository, tag = publication.repository, publication.tag
    refs = api.list_repo_refs(repository.id, repo_type=repository.kind)
    at = {ref.name: ref.target_commit for ref in refs.tags}.get(tag)
    if at == commit:
        return
    if at is not None:
        api.delete_tag(repository.id, tag=tag, repo_type=repository.kind)
    api.create_tag(repository.id, tag=tag, revision=commit, repo_type=repository.kind)


def _collect(api: HfApi, publication: Publication) -> str | None:
    """Add the repository to the collection of that title, creating it if needed; returns its URL."""
    repository, title = publication.repository, publication.collection
    if not title:
        return None
    found = [c for c in api.list_collections(owner=repository.namespace) if c.title == title]
    collection = found[0] if found else None
    if collection is None:
        collection = api.create_collection(title, namespace=repository.namespace, private=publication.private)
    items = {(item.item_type, item.item_id) for item in api.get_collection(collection.slug).items}
    if (repository.kind, repository.id) not in items:
        api.add_collection_item(collection.slug, repository.id, repository.kind, exists_ok=True)
    return collection.url
