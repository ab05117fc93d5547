"""Withdrawn releases: withdrawn.json on the main branch names them with their reason, and the card warns of them."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import HfApi

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash, strict_json
from agentmerge_hub.publishing.hub.releases import content_of
from agentmerge_hub.publishing.hub.repository import Repository, read_on_hub

WITHDRAWN = "withdrawn.json"
_METADATA = re.compile(r"---\n(?:.*?\n)?---\n\n?", re.DOTALL)
_START, _END = "<!-- withdrawn releases -->\n", "<!-- end of withdrawn releases -->\n\n"


def read_withdrawn(api: HfApi, repository: Repository, revision: str) -> dict[str, Any]:
    """Tag → ``{"reason", "date", "content"}`` from the repository's file.

    Raises:
        UserError: if the file is broken, so that a withdrawn release is never taken for a good one.
    """
    try:
        entries = strict_json.loads(read_on_hub(api, repository, WITHDRAWN, revision).decode("utf-8"))
        return {tag: {key: str(entry[key]) for key in ("reason", "date", "content")} for tag, entry in entries.items()}
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        raise UserError(
            f"{WITHDRAWN} of {repository} was edited and is broken, so its withdrawn releases are not known: restore it from its "
            f"history at {repository.url}/commits/main/{WITHDRAWN}."
        ) from None


def entry_of(withdrawn: Mapping[str, Any], outputs: Mapping[str, Any]) -> tuple[str, str] | None:
    """The tag of the withdrawn release with this content, and when and why it was withdrawn; None if there is none.

    Args:
        outputs: of a manifest.
    """
    content = content_id(outputs)
    found = (tag for tag, entry in withdrawn.items() if entry["content"] == content)
    return next(((tag, f"on {withdrawn[tag]['date']} ({withdrawn[tag]['reason']})") for tag in found), None)


def content_id(outputs: Mapping[str, Any]) -> str:
    """One hash for the content of a release.

    Args:
        outputs: of its manifest.
    """
    return content_hash.combined_hash(content_of({name: entry["sha256"] for name, entry in outputs.items()}))


def with_warning(card: str, withdrawn: Mapping[str, Any]) -> str:
    """The card with one paragraph for each withdrawn release behind its metadata, and none that it had there before. The same mark
    elsewhere is a text of the publisher's."""
    metadata = _METADATA.match(card)
    place = metadata.end() if metadata else 0
    head, body = card[:place], card[place:]
    if body.startswith(_START) and _END in body:
        body = body.partition(_END)[2]
    if not withdrawn:
        return head + body
    lines = [
        f"> **Withdrawn: {tag}** ({entry['date']}). {entry['reason']}\n" for tag, entry in sorted(withdrawn.items())
    ]
    return head + _START + "\n".join(lines) + _END + body


def with_files(content: bytes, files: Mapping[str, bytes]) -> bytes:
    """A manifest whose entries for these files are those of their content."""
    changed = json.loads(content)
    changed["outputs"] |= {
        name: {"sha256": hashlib.sha256(file).hexdigest(), "bytes": len(file)} for name, file in files.items()
    }
    return manifest_bytes(changed)


def manifest_bytes(content: Mapping[str, Any]) -> bytes:
    """A manifest as its file."""
    return f"{json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()
