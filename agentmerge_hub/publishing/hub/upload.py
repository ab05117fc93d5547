"""Files → one commit and one tag on the Hub. Sends only what changed; a release appears whole or not at all.

Large files are sent first, by content hash, so that the next run after an interruption sends only the rest. After a lost
reply, the true state is looked up.
"""

from dataclasses import dataclass, replace
from typing import Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.errors import describe, is_unreachable, sentences
from agentmerge_hub.publishing.hub.planned_release import planned_tag, released_files
from agentmerge_hub.publishing.hub.releases import content_of, newest_tag, next_tag
from agentmerge_hub.publishing.hub.repository import ADDED_BY_HUB, check_account, files_on_hub, tags_on_hub
from agentmerge_hub.publishing.hub.state import (
    HubState,
    Publication,
    changes,
    identities,
    obstacles,
    read_state,
)
from agentmerge_hub.publishing.hub.withdrawn import WITHDRAWN

_NOTHING = "nothing was published by this run; run the same command again to send only the rest"


@dataclass(frozen=True)
class Published:
    """Result of a push; `sent` and `removed` are empty if the Hub had every file."""

    url: str
    commit: str
    tag: str
    sent: tuple[str, ...]
    removed: tuple[str, ...]
    collection: str | None
    warning: str | None
    """Why the collection could not be changed."""


@dataclass(frozen=True)
class Preview:
    """What a push would meet on the Hub."""

    findings: tuple[str, ...]
    note: str | None
    """Why the Hub was not checked."""
    tag: str | None
    private: bool


def preview(publication: Publication) -> Preview:
    """Check token, name, rights, visibility and the repository's state, without changing anything."""
    api, repository = HfApi(), publication.repository
    try:
        check_account(api, repository.namespace)
        state = read_state(api, repository)
        if state is None:
            return Preview((), None, planned_tag(api, publication, None), publication.private)
        found = obstacles(api, publication, state)
        return Preview(tuple(found), None, planned_tag(api, publication, state), state.private)
    except UserError as error:
        return Preview((str(error).rstrip("."),), None, None, publication.private)
    except Exception as error:
        sentence = describe(error, repository)
        if sentence is None:
            raise
        if is_unreachable(error):
            note = f"{sentence}: token, rights and visibility were not checked"
            return Preview((), note, None, publication.private)
        return Preview((sentence,), None, None, publication.private)


def publish(publication: Publication) -> Published:
    """Bring a repository to the state of `publication` in one commit, then create its tag and add it to its collection.

    A second call resumes an interrupted one, and does nothing if nothing is new.

    Raises:
        UserError: no token or no write access, a repository with other content, foreign files or edits, a failing Hub.
    """
    api, repository = HfApi(), publication.repository
    with sentences(repository, _NOTHING):
        check_account(api, repository.namespace)
        state = read_state(api, repository) or _create(api, publication)
        if found := obstacles(api, publication, state):
            raise UserError(f"{'; '.join(found)}. {_NOTHING[0].upper()}{_NOTHING[1:]}.")
        tag = planned_tag(api, publication, state)
        publication = replace(publication, files=released_files(api, publication, state, tag))
        sent, removed = changes(publication, state)
    commit = _commit(api, publication, state, sent, removed)
    then = f"the files are at {repository.url}, and no tag names them yet; run the same command again"
    with sentences(repository, then):
        tag = _tag(api, publication, commit)
    collection, warning = _collect(api, publication)
    return Published(repository.url, commit, tag, tuple(sent), tuple(removed), collection, warning)


def _create(api: HfApi, publication: Publication) -> HubState:
    repository = publication.repository
    try:
        api.create_repo(repository.id, repo_type=repository.kind, private=publication.private, exist_ok=True)
    except Exception:
        state = read_state(api, repository)
        if state is None:
            raise
        return state
    state = read_state(api, repository)
    if state is None:
        raise UserError(f"{repository} was created, and the Hub does not show it yet: run the same command again.")
    return state


def _commit(api: HfApi, publication: Publication, state: HubState, sent: list[str], removed: list[str]) -> str:
    if not sent and not removed:
        return state.head
    repository = publication.repository
    additions = [CommitOperationAdd(name, publication.files[name]) for name in sent]
    try:
        made = api.create_commit(
            repository.id,
            [*additions, *(CommitOperationDelete(name) for name in removed)],
            commit_message=f"{publication.stage}: {len(sent)} files new or changed, {len(removed)} removed",
            repo_type=repository.kind,
            # A commit by someone else since then is never overwritten.
            parent_commit=state.head,
        )
        return made.oid
    except Exception as error:
        unknown = f"whether the files were published is unknown: see {repository.url} and run the same command again"
        with sentences(repository, unknown):
            head = str(api.repo_info(repository.id, repo_type=repository.kind).sha)
            if head != state.head and _holds(api, publication, head):
                return head
        with sentences(repository, _NOTHING):
            raise error


def _holds(api: HfApi, publication: Publication, commit: str) -> bool:
    """Whether a commit has exactly the files of the publication."""
    there = {name: id for name, id in files_on_hub(api, publication.repository, commit).items() if not _is_extra(name)}
    return set(there) == set(publication.files) and all(
        there[name] in identities(content) for name, content in publication.files.items()
    )


def _is_extra(name: str) -> bool:
    return name in ADDED_BY_HUB or name == WITHDRAWN


def _tag(api: HfApi, publication: Publication, commit: str) -> str:
    """The tag of this content: the newest one if that names the same content, else a new one on this commit."""
    repository = publication.repository
    tags, files = tags_on_hub(api, repository), files_on_hub(api, repository, commit)
    newest = newest_tag(tags, publication.major)
    if newest and content_of(files_on_hub(api, repository, tags[newest])) == content_of(files):
        return newest
    if foreign := [name for name in files if name not in publication.files and not _is_extra(name)]:
        raise UserError(
            f"{repository} has files that this package did not publish ({', '.join(foreign)}): remove them."
        )
    tag = next_tag(tags, publication.major)
    try:
        api.create_tag(repository.id, tag=tag, revision=commit, repo_type=repository.kind)
    except Exception:
        if tags_on_hub(api, repository).get(tag) != commit:
            raise
    return tag


def _collect(api: HfApi, publication: Publication) -> tuple[str | None, str | None]:
    """Add the repository to the collection of that title, creating it if needed; its URL, or a warning."""
    repository, title = publication.repository, publication.collection
    if not title:
        return None, None
    try:
        found = [c for c in api.list_collections(owner=repository.namespace) if c.title == title]
        collection = found[0] if found else None
        if collection is None:
            collection = api.create_collection(title, namespace=repository.namespace, private=publication.private)
        items = {(item.item_type, item.item_id) for item in api.get_collection(collection.slug).items}
        if (repository.kind, repository.id) not in items:
            kind: Literal["dataset", "model"] = "dataset" if repository.kind == "dataset" else "model"
            api.add_collection_item(collection.slug, repository.id, kind, exists_ok=True)
        return collection.url, None
    except Exception as error:
        sentence = describe(error, repository) or f"{type(error).__name__}: {error}"
        return None, f"{repository} was not added to the collection {title!r}: {sentence}"
