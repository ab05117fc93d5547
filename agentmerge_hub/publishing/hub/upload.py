"""Files → one commit and one tag on the Hub. Sends only what changed; a release appears whole or not at all.

Large files are sent first, by content hash, so that the next run after an interruption sends only the rest. After a lost
reply, the true state is looked up.
"""

import json
from dataclasses import dataclass, replace

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.account import check_account, check_write_access
from agentmerge_hub.publishing.hub.collection import add_to_collection
from agentmerge_hub.publishing.hub.errors import describe, is_unreachable, may_be_done, sentences
from agentmerge_hub.publishing.hub.planned_release import planned_tag, released_files
from agentmerge_hub.publishing.hub.repository import ADDED_BY_HUB, files_on_hub, listed, tags_on_hub
from agentmerge_hub.publishing.hub.state import (
    HubState,
    Publication,
    changes,
    identities,
    obstacles,
    read_state,
)
from agentmerge_hub.publishing.hub.withdrawn import WITHDRAWN
from agentmerge_hub.publishing.publish_checks.text_extraction import read_bytes

_NOTHING = "nothing was published by this run; run the same command again to send only the rest"
_NOT_YET = "the Hub shows none of the files so far: run the same command again, which finds them if they were published"


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
        state = _writable_state(api, publication)
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
        state = _writable_state(api, publication) or create_repository(api, publication)
        if found := obstacles(api, publication, state):
            raise UserError(f"{'; '.join(found)}. {_NOTHING[0].upper()}{_NOTHING[1:]}.")
        tag = planned_tag(api, publication, state)
        publication = replace(publication, files=released_files(api, publication, state, tag))
        sent, removed = changes(publication, state)
    commit = _commit(api, publication, state, sent, removed)
    then = f"the files are at {repository.url}, and no tag names them yet; run the same command again"
    with sentences(repository, then):
        _tag(api, publication, state, commit, tag)
    collection = warning = None
    if title := publication.collection:
        collection, warning = add_to_collection(api, repository, title, state.private)
    return Published(repository.url, commit, tag, tuple(sent), tuple(removed), collection, warning)


def _writable_state(api: HfApi, publication: Publication) -> HubState | None:
    """The state of a repository that the token may write to; None if it does not exist and may be created."""
    repository = publication.repository
    may_create = check_account(api, repository)
    state = read_state(api, repository)
    if state is not None:
        check_write_access(api, repository)
    elif not may_create:
        raise UserError(
            f"{repository} does not exist, and you may write to some repositories of {repository.namespace} without creating others: "
            "create it at the Hub first, or use a token or a role that may."
        )
    return state


def create_repository(api: HfApi, publication: Publication) -> HubState:
    """Create the repository of a publication; its state, also if another run created it meanwhile."""
    repository = publication.repository
    try:
        api.create_repo(repository.id, repo_type=repository.kind, private=publication.private, exist_ok=True)
    except Exception as error:
        state = read_state(api, repository)
        if state is None and not isinstance(error, KeyError):  # of an answer without an address
            raise
    else:
        state = read_state(api, repository)
    if state is None:
        raise UserError(f"The Hub does not show {repository} after its creation: run the same command again.")
    return state


def _commit(api: HfApi, publication: Publication, state: HubState, sent: list[str], removed: list[str]) -> str:
    if not sent and not removed:
        return state.head
    repository = publication.repository
    with sentences(repository, _NOTHING):
        additions = [CommitOperationAdd(name, publication.files[name]) for name in sent]
        _check_unchanged(publication, additions)
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
            if done := _find_commit(api, publication, state.head):
                return done
        with sentences(repository, _NOT_YET if may_be_done(error) else _NOTHING):
            raise error


def _check_unchanged(publication: Publication, additions: list[CommitOperationAdd]) -> None:
    """Raise UserError if a file is not the one that was checked any more: a large publication takes long."""
    listed = json.loads(read_bytes(publication.files[manifest.NAME]))["outputs"]
    for addition in additions:
        entry = listed.get(addition.path_in_repo)
        if entry and entry["sha256"] != addition.upload_info.sha256.hex():
            raise UserError(f"{addition.path_in_repo} was changed after it was checked: {_NOTHING}.")


def _find_commit(api: HfApi, publication: Publication, before: str) -> str | None:
    """The commit of the publication since the state that was read; others may have committed after it."""
    repository = publication.repository
    for commit in api.list_repo_commits(repository.id, repo_type=repository.kind):
        if commit.commit_id == before:
            return None
        if _holds(api, publication, commit.commit_id):
            return commit.commit_id
    return None


def _holds(api: HfApi, publication: Publication, commit: str) -> bool:
    """Whether a commit has exactly the files of the publication."""
    there = {name: id for name, id in files_on_hub(api, publication.repository, commit).items() if not _is_extra(name)}
    return set(there) == set(publication.files) and all(
        there[name] in identities(content) for name, content in publication.files.items()
    )


def _is_extra(name: str) -> bool:
    return name in ADDED_BY_HUB or name == WITHDRAWN


def _tag(api: HfApi, publication: Publication, state: HubState, commit: str, tag: str) -> None:
    """Create the tag on this commit, unless it was there before and names the same content."""
    repository = publication.repository
    if tag in state.tags:
        return
    files = files_on_hub(api, repository, commit)
    if foreign := [name for name in files if name not in publication.files and not _is_extra(name)]:
        raise UserError(f"{repository} has files that this package did not publish ({listed(foreign)}): remove them.")
    failure: Exception | None = None
    try:
        api.create_tag(repository.id, tag=tag, revision=commit, repo_type=repository.kind)
    except Exception as error:
        failure = error
    if tags_on_hub(api, repository).get(tag) != commit:
        raise failure or UserError(
            f"The Hub does not show the tag {tag} of {repository} after its creation: the files are at {repository.url}; run the "
            "same command again."
        )
