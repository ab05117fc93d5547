"""Withdrawn releases: withdrawn.json on the main branch names them with their reason, and the card warns of them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from agentmerge_hub import content_hash
from agentmerge_hub.publishing.hub.releases import content_of

WITHDRAWN = "withdrawn.json"
_START, _END = "<!-- withdrawn releases -->\n", "<!-- end of withdrawn releases -->\n\n"


def read_withdrawn(content: bytes) -> dict[str, Any]:
    """Tag → ``{"reason", "date", "content"}``; empty if the file is broken."""
    try:
        entries = json.loads(content)
        return {tag: dict(entry) for tag, entry in entries.items() if {"reason", "date", "content"} <= set(entry)}
    except (ValueError, AttributeError, TypeError):
        return {}


def content_id(outputs: Mapping[str, Any]) -> str:
    """One hash for the content of a release.

    Args:
        outputs: of its manifest.
    """
    return content_hash.combined_hash(content_of({name: entry["sha256"] for name, entry in outputs.items()}))


def with_warning(card: str, withdrawn: Mapping[str, Any]) -> str:
    """The card with one paragraph for each withdrawn release behind its metadata."""
    before, _, rest = card.partition(_START)
    card = before + rest.partition(_END)[2] if rest else card
    if not withdrawn:
        return card
    lines = [
        f"> **Withdrawn: {tag}** ({entry['date']}). {entry['reason']}\n" for tag, entry in sorted(withdrawn.items())
    ]
    head, mark, body = card.partition("\n---\n\n") if card.startswith("---\n") else ("", "", card)
    return head + mark + _START + "\n".join(lines) + _END + body


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
