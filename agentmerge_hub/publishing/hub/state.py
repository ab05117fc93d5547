"""The state of a repository on the Hub, and what in it stands in the way of a push."""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import sha

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash
from agentmerge_hub.publishing.hub.repository import (
    ADDED_BY_HUB,
    Repository,
    files_on_hub,
    listed,
    read_info,
    read_on_hub,
    tags_on_hub,
)
from agentmerge_hub.publishing.hub.withdrawn import WITHDRAWN, entry_of, read_withdrawn
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, read_bytes

CARD = "README.md"
_SHA1 = 40
"""Length of the identity of a small file."""


@dataclass(frozen=True)
class Publication:
    """The wanted state of a repository: all files by path, manifest.json included."""

    repository: Repository
    files: Mapping[str, Content]
    stage: str
    major: int
    """Major version of the schema, for the tag."""
    private: bool = False
    collection: str | None = None
    replace_edits: bool = False
    """Whether files that others edited on the Hub are overwritten."""

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file."""
        return {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in self.files.items()
        }


@dataclass(frozen=True)
class HubState:
    """What the main branch of a repository holds."""

    head: str
    private: bool
    files: Mapping[str, str]
    """Path → identity, without what the Hub itself adds."""
    tags: Mapping[str, str]
    manifest: Mapping[str, Any]
    """Of the last push; empty if there is none or it is broken."""
    withdrawn: Mapping[str, Any]


def read_state(api: HfApi, repository: Repository) -> HubState | None:
    """The state of a repository; None if it does not exist."""
    try:
        info = read_info(api, repository)
    except RepositoryNotFoundError:
        return None
    head = str(info.sha)
    files = {name: id for name, id in files_on_hub(api, repository, head).items() if name not in ADDED_BY_HUB}
    earlier = manifest_from(read_on_hub(api, repository, manifest.NAME, head)) if manifest.NAME in files else {}
    withdrawn = read_withdrawn(api, repository, head) if WITHDRAWN in files else {}
    return HubState(head, bool(info.private), files, tags_on_hub(api, repository), earlier, withdrawn)


def obstacles(api: HfApi, publication: Publication, state: HubState) -> list[str]:
    """Why a push must not replace this state, a sentence each."""
    repository = publication.repository
    if state.files and state.manifest.get("stage") != publication.stage:
        return [f"{repository} has other content (no manifest.json of `{publication.stage}`): choose another --repo-id"]
    found = []
    if publication.private and not state.private:
        found.append(f"{repository} is public already: leave --private out, or change it at {repository.url}")
    outputs = manifest_from(read_bytes(publication.files[manifest.NAME])).get("outputs", {})
    if withdrawn := entry_of(state.withdrawn, outputs):
        found.append(
            f"these files are those of {withdrawn[0]} of {repository}, which was withdrawn {withdrawn[1]}: correct them first; a "
            f"release that was withdrawn by mistake is removed from {WITHDRAWN} at {repository.url}/tree/main"
        )
    if foreign := foreign_files(publication, state):
        found.append(
            f"{repository} has files that this package did not publish ({listed(foreign)}): remove them at "
            f"{repository.url}/tree/main, because a release must not name them"
        )
    if edited := [] if publication.replace_edits else edited_files(api, publication, state):
        keep = "move the edits of the card into a file for --overlay" if CARD in edited else "save what has to stay"
        found.append(
            f"{listed(edited)} of {repository} was edited on the Hub and would be overwritten: {keep}, then push with "
            "--replace-edits"
        )
    if deleted := [] if publication.replace_edits else deleted_files(publication, state):
        found.append(
            f"{listed(deleted)} of {repository} was deleted on the Hub and would be sent again: push with --replace-edits to "
            "do so"
        )
    return found


def foreign_files(publication: Publication, state: HubState) -> list[str]:
    """Files on the Hub that neither this publication nor the last push holds."""
    ours = {*publication.files, *state.manifest.get("outputs", {}), manifest.NAME, WITHDRAWN}
    return sorted(set(state.files) - ours)


def edited_files(api: HfApi, publication: Publication, state: HubState) -> list[str]:
    """Files that others changed since the last push, and a card whose metadata for gated access would be lost."""
    edited = []
    for name, entry in sorted(state.manifest.get("outputs", {}).items()):
        ours, identity = publication.files.get(name), state.files.get(name)
        if identity is None or (ours is not None and identity in identities(ours)):
            continue
        if len(identity) != _SHA1:
            edited += [name] if identity != entry["sha256"] else []
        else:
            content = read_on_hub(api, publication.repository, name, state.head)
            if hashlib.sha256(content).hexdigest() != entry["sha256"] or (
                name == CARD and gating_of(content) - gating_of(ours or b"")
            ):
                edited.append(name)
    return edited


def deleted_files(publication: Publication, state: HubState) -> list[str]:
    """Files of the last push that others deleted, and that this one would send again."""
    return sorted(
        name for name in state.manifest.get("outputs", {}) if name in set(publication.files) - set(state.files)
    )


def gating_of(card: Content) -> set[str]:
    """Metadata of gated access that a card sets."""
    text = (card if isinstance(card, bytes) else card.read_bytes()).decode("utf-8", "replace")
    block = re.match(r"\s*---\n(.*?)\n---", text, re.DOTALL)
    try:
        metadata = yaml.safe_load(block[1]) if block else {}
    except yaml.YAMLError:
        return set()
    return {key for key in metadata if str(key).startswith("extra_gated")} if isinstance(metadata, dict) else set()


def identities(content: Content) -> tuple[str, str]:
    """The ids the Hub may give this content: as a small file, as a large file."""
    if isinstance(content, bytes):
        return sha.git_hash(content), hashlib.sha256(content).hexdigest()
    stat = content.stat()
    return _identities_of_file(content, stat.st_size, stat.st_mtime_ns)


@cache
def _identities_of_file(path: Path, size: int, changed: int) -> tuple[str, str]:
    """Reads a file of many GB once in a push."""
    return sha.git_hash(path.read_bytes()) if size < 2**25 else "", content_hash.file_hash(path)


def changes(publication: Publication, state: HubState) -> tuple[list[str], list[str]]:
    """Paths to send and paths to remove."""
    sent = [name for name, content in publication.files.items() if state.files.get(name) not in identities(content)]
    removed = sorted((set(state.manifest.get("outputs", {})) & set(state.files)) - set(publication.files))
    if sent == [manifest.NAME] and _same_but_run(state.manifest, publication.files[manifest.NAME]):
        sent = []
    return sent, removed


def _same_but_run(earlier: Mapping[str, Any], content: Content) -> bool:
    """Whether two manifests differ only in the time of the run: a second build gave the same bytes."""
    ours = json.loads(read_bytes(content))
    return {**ours, "run": None} == {**earlier, "run": None}


def manifest_from(content: bytes) -> dict[str, Any]:
    """A manifest from its file; empty if it is broken."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / manifest.NAME).write_bytes(content)
        try:
            return manifest.read(Path(folder))
        except UserError:
            return {}
