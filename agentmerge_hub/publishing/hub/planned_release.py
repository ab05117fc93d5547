"""The tag that a push will give its files, and the files with the texts that depend on it: tag, date, withdrawn releases."""

import json
import time
from collections.abc import Collection, Mapping

from huggingface_hub import HfApi

from agentmerge_hub import manifest
from agentmerge_hub.publishing.hub.release_text import CROISSANT, release_date, with_tag
from agentmerge_hub.publishing.hub.releases import content_of, core_of, newest_tag, next_tag
from agentmerge_hub.publishing.hub.repository import files_on_hub, read_on_hub
from agentmerge_hub.publishing.hub.state import CARD, HubState, Publication, identities
from agentmerge_hub.publishing.hub.withdrawn import with_files, with_warning
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, read_bytes


def planned_tag(api: HfApi, publication: Publication, state: HubState | None) -> str:
    """The newest tag if it names the same content, else the next one."""
    tags = state.tags if state else {}
    used = {*tags, *(state.withdrawn if state else ())}
    newest = newest_tag(tags, publication.major)
    if newest is None:
        return next_tag(used, publication.major)
    there = files_on_hub(api, publication.repository, tags[newest])
    if _are_equal(content_of(there), content_of(dict.fromkeys(publication.files, "")), publication):
        return newest
    same_core = _are_equal(core_of(there), core_of(dict.fromkeys(publication.files, "")), publication)
    return next_tag(used, publication.major, newest if same_core else None)


def _are_equal(there: Mapping[str, str], ours: Collection[str], publication: Publication) -> bool:
    """Whether files on the Hub are these files of the publication.

    Args:
        there: path → identity.
        ours: paths.
    """
    return set(there) == set(ours) and all(there[name] in identities(publication.files[name]) for name in ours)


def released_files(api: HfApi, publication: Publication, state: HubState, tag: str) -> dict[str, Content]:
    """The files, their card pinning the release and warning of withdrawn ones, croissant.json with its version and date."""
    changed: dict[str, bytes] = {}
    if CARD in publication.files:
        changed[CARD] = with_warning(with_tag(_text(publication.files[CARD]), tag), state.withdrawn).encode()
    if CROISSANT in publication.files:
        described = json.loads(_text(publication.files[CROISSANT]))
        published = read_on_hub(api, publication.repository, CROISSANT, state.head) if CROISSANT in state.files else b""
        earlier = release_date(published) if tag in state.tags else None
        described |= {"version": tag.removeprefix("v")}
        if "datePublished" in described:
            described["datePublished"] = earlier or time.strftime("%Y-%m-%d", time.gmtime())
        changed[CROISSANT] = (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()
    listing = _text(publication.files[manifest.NAME]).encode()
    return {**_unchanged(publication.files, changed), **changed, manifest.NAME: with_files(listing, changed)}


def _unchanged(files: Mapping[str, Content], changed: Mapping[str, bytes]) -> dict[str, Content]:
    return {name: content for name, content in files.items() if name not in changed}


def _text(content: Content) -> str:
    return read_bytes(content).decode("utf-8")
