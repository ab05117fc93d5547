"""`agentmerge yank`: marks a release as withdrawn, and with --squash removes it from the repository's history."""

import json
import time
from collections.abc import Mapping

from huggingface_hub import CommitOperationAdd, HfApi

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.account import check_account, check_write_access
from agentmerge_hub.publishing.hub.errors import sentences
from agentmerge_hub.publishing.hub.repository import Repository, read_on_hub, tags_on_hub
from agentmerge_hub.publishing.hub.state import CARD, HubState, manifest_from, read_state
from agentmerge_hub.publishing.hub.withdrawn import WITHDRAWN, content_id, with_files, with_warning


def yank(repository: Repository, tag: str, reason: str, squash: bool, yes: bool) -> str:
    """Withdraw a release; returns what was done, or without `yes` what would be done.

    Raises:
        UserError: no such release, no rights, a failing Hub, or a history that still has the release as its newest content.
    """
    api = HfApi()
    with sentences(repository, "nothing was changed"):
        check_account(api, repository)
        state = read_state(api, repository)
        if state is None or not state.manifest:
            raise UserError(f"{repository} does not exist, or agentmerge has not published it.")
        check_write_access(api, repository)
        if tag not in state.tags:
            known = ", ".join(sorted(state.tags)) or "none"
            raise UserError(f"{repository} has no release {tag}: its tags are {known}.")
        listing = manifest_from(read_on_hub(api, repository, manifest.NAME, state.tags[tag]))
        if not listing:
            raise UserError(f"The manifest.json of {tag} is broken: remove the tag by hand at {repository.url}.")
        content = content_id(listing["outputs"])
        if squash and content == content_id(state.manifest["outputs"]):
            raise UserError(
                f"{tag} is the newest content of {repository}, so a squashed history would keep it: push the corrected "
                "release first, then run the same command again."
            )
    if not yes:
        history = " and remove it with its tag from the history" if squash else ""
        return f"This would mark {tag} of {repository} as withdrawn{history}. Add --yes to do it."
    entry = {"reason": reason, "date": time.strftime("%Y-%m-%d", time.gmtime()), "content": content}
    with sentences(repository, "the release was not withdrawn; run the same command again"):
        _mark(api, repository, state, {**state.withdrawn, tag: entry})
    if not squash:
        return f"{repository.url}: {tag} is marked as withdrawn"
    with sentences(repository, f"{tag} is marked as withdrawn, and its files are still in the history; run again"):
        reachable = _tags_after(api, repository, state.tags, tag)
        _squash(api, repository)
        _delete_tag(api, repository, tag)
    done = f"{repository.url}: {tag} is marked as withdrawn and removed from the history"
    if reachable:
        done += (
            f" of main; the history of {', '.join(reachable)} still has it: delete these tags at {repository.url} as well if "
            "nobody may reach it"
        )
    return done


def _tags_after(api: HfApi, repository: Repository, tags: Mapping[str, str], removed: str) -> list[str]:
    """Tags whose history has the commit of a removed tag: a tag keeps all commits before its own."""
    return [
        tag
        for tag, commit in sorted(tags.items())
        if tag != removed
        and tags[removed]
        in (c.commit_id for c in api.list_repo_commits(repository.id, repo_type=repository.kind, revision=commit))
    ]


def _mark(api: HfApi, repository: Repository, state: HubState, withdrawn: dict) -> None:
    text = json.dumps(withdrawn, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    files = {WITHDRAWN: text.encode()}
    if CARD in state.files:
        card = read_on_hub(api, repository, CARD, state.head).decode("utf-8", "replace")
        files[CARD] = with_warning(card, withdrawn).encode()
        files[manifest.NAME] = with_files(read_on_hub(api, repository, manifest.NAME, state.head), {CARD: files[CARD]})
    try:
        api.create_commit(
            repository.id,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=f"withdraw {', '.join(sorted(withdrawn))}",
            repo_type=repository.kind,
            parent_commit=state.head,
        )
    except Exception:
        # The reply may be lost though the work is done.
        there = read_state(api, repository)
        if there is None or there.withdrawn != withdrawn:
            raise


def _squash(api: HfApi, repository: Repository) -> None:
    before = _number_of_commits(api, repository)
    try:
        api.super_squash_history(repository.id, repo_type=repository.kind)
    except Exception:
        if before == 1 or _number_of_commits(api, repository) != 1:
            raise


def _number_of_commits(api: HfApi, repository: Repository) -> int:
    return len(api.list_repo_commits(repository.id, repo_type=repository.kind))


def _delete_tag(api: HfApi, repository: Repository, tag: str) -> None:
    try:
        api.delete_tag(repository.id, tag=tag, repo_type=repository.kind)
    except Exception:
        if tag in tags_on_hub(api, repository):
            raise
