"""`agentmerge yank`: marks a release as withdrawn, and with --squash removes it from the repository's history."""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from huggingface_hub import CommitOperationAdd, GitRefInfo, GitRefs, HfApi

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.hub.account import check_account, check_write_access
from agentmerge_hub.publishing.hub.errors import may_be_done, sentences
from agentmerge_hub.publishing.hub.repository import Repository, files_on_hub, read_on_hub, tags_on_hub
from agentmerge_hub.publishing.hub.state import CARD, HubState, manifest_from, read_state
from agentmerge_hub.publishing.hub.withdrawn import WITHDRAWN, content_id, with_files, with_warning
from agentmerge_hub.publishing.publish_checks.file_types import MODEL_FILES
from agentmerge_hub.publishing.publish_checks.files import check_files


def yank(repository: Repository, tag: str, reason: str, squash: bool, yes: bool) -> str:
    """Withdraw a release; returns what was done, or without `yes` what would be done.

    Raises:
        UserError: no such release, no rights, a failing Hub, or a history that still has the release as its newest content.
    """
    api, reason = HfApi(), _checked_reason(reason)
    with sentences(repository, "nothing was changed"):
        check_account(api, repository)
        state = read_state(api, repository)
        if state is None or not state.manifest:
            raise UserError(f"{repository} does not exist, or agentmerge has not published it.")
        check_write_access(api, repository)
        if tag not in state.tags:
            known = ", ".join(sorted(state.tags)) or "none"
            earlier = f"; {tag} was withdrawn and removed before" if tag in state.withdrawn else ""
            raise UserError(f"{repository} has no release {tag}: its tags are {known}{earlier}.")
        content = content_id(_outputs(api, repository, tag, state.tags[tag]))
        if squash and content == content_id(state.manifest["outputs"]):
            raise UserError(
                f"{tag} is the newest content of {repository}, so a squashed history would keep it: push the corrected "
                "release first, then run the same command again."
            )
    if not yes:
        history = " and remove it with its tag from the history" if squash else ""
        return f"This would mark {tag} of {repository} as withdrawn{history}. Add --yes to do it."
    today = time.strftime("%Y-%m-%d", time.gmtime())
    entry = {"reason": reason, "date": state.withdrawn.get(tag, {}).get("date", today), "content": content}
    withdrawn = {**state.withdrawn, tag: entry}
    with sentences(repository, "nothing was changed"):
        files = _files_with_mark(api, repository, state, withdrawn)
    try:
        _commit_mark(api, repository, state, withdrawn, files)
    except Exception as error:
        done = "whether the release was withdrawn is unknown" if may_be_done(error) else "the release was not withdrawn"
        with sentences(repository, f"{done}; run the same command again"):
            raise
    if not squash:
        return f"{repository.url}: {tag} is marked as withdrawn"
    with sentences(repository, f"{tag} is marked as withdrawn, and its files are still in the history; run again"):
        refs = api.list_repo_refs(repository.id, repo_type=repository.kind, include_pull_requests=True)
        reachable = _refs_after(api, repository, refs, tag)
        _squash(api, repository)
        _delete_tag(api, repository, tag)
    done = f"{repository.url}: {tag} is marked as withdrawn and removed from the history"
    if reachable:
        done += (
            f" of main; the history of {', '.join(reachable)} still has it: delete or close these at {repository.url} as well if "
            "nobody may reach it"
        )
    if copies := ", ".join(_short(ref) for ref in refs.converts):
        done += f"; the history of the Hub's own copy of the data, {copies}, may have it too"
    return done


def _checked_reason(reason: str) -> str:
    """The reason on one line, which everybody will read.

    Raises:
        UserError: if it is empty, or holds a secret or personal data, e.g. those for which the release is withdrawn.
    """
    reason = " ".join(reason.split())
    if not reason:
        raise UserError("--reason is empty: say why the release is withdrawn, for its users.")
    if findings := check_files({WITHDRAWN: json.dumps({"reason": reason}).encode()}, MODEL_FILES):
        raise UserError(f"--reason would be published: {'; '.join(findings)}. Say it without; nothing was changed.")
    return reason


def _outputs(api: HfApi, repository: Repository, tag: str, commit: str) -> Mapping[str, Any]:
    """The files of a release, from its manifest."""
    listing = {}
    if manifest.NAME in files_on_hub(api, repository, commit):
        listing = manifest_from(read_on_hub(api, repository, manifest.NAME, commit))
    if not listing:
        raise UserError(
            f"{tag} of {repository} has no {manifest.NAME} that can be read, so it is no release of agentmerge: remove the tag by "
            f"hand at {repository.url}."
        )
    return listing["outputs"]


def _refs_after(api: HfApi, repository: Repository, refs: GitRefs, removed: str) -> list[str]:
    """Other tags, branches and pull requests whose history has the commit of a removed tag."""
    commit = next(ref.target_commit for ref in refs.tags if ref.name == removed)
    others = [
        ref for ref in (*refs.tags, *refs.branches, *(refs.pull_requests or [])) if ref.name not in (removed, "main")
    ]

    def has_it(ref: GitRefInfo) -> bool:
        history = api.list_repo_commits(repository.id, repo_type=repository.kind, revision=ref.target_commit)
        return commit in (listed.commit_id for listed in history)

    return [_short(ref) for ref in others if has_it(ref)]


def _short(ref: GitRefInfo) -> str:
    return re.sub(r"^refs/(?:heads/|tags/)?", "", ref.ref)


def _files_with_mark(api: HfApi, repository: Repository, state: HubState, withdrawn: dict) -> dict[str, bytes]:
    """The list of withdrawn releases, the card that warns of them, and the manifest of that card."""
    text = json.dumps(withdrawn, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    files = {WITHDRAWN: text.encode()}
    if CARD in state.files:
        card = read_on_hub(api, repository, CARD, state.head).decode("utf-8", "replace")
        files[CARD] = with_warning(card, withdrawn).encode()
        if hashlib.sha256(card.encode()).hexdigest() == state.manifest["outputs"].get(CARD, {}).get("sha256"):
            # An edited card stays known as one, so that the next push does not overwrite it.
            listing = read_on_hub(api, repository, manifest.NAME, state.head)
            files[manifest.NAME] = with_files(listing, {CARD: files[CARD]})
    return files


def _commit_mark(
    api: HfApi, repository: Repository, state: HubState, withdrawn: dict, files: Mapping[str, bytes]
) -> None:
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
