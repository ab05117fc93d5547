"""What files say of their release: the tag in the card's example, and publisher, version and date in croissant.json.

A build does not know them: a push adds them, and checks of a dataset leave them out.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from agentmerge_hub.licenses.license_terms import License
from agentmerge_hub.publishing.hub.repository import Repository

CROISSANT = "croissant.json"
_RELEASE_FIELDS = ("url", "creator", "publisher", "datePublished", "usageInfo")
"""Fields of Croissant that only a published dataset has; `version` differs as well."""
_PIN = re.compile(r'(?<=revision=")v\d+\.\d+\.\d+(?=")')


def pinned_revision(card: str) -> str | None:
    """The tag in the card's example."""
    found = _PIN.search(card)
    return found[0] if found else None


def with_tag(card: str, tag: str) -> str:
    """The card with another tag in its example."""
    return _PIN.sub(tag, card)


def published_croissant(
    description: str, repository: Repository, tag: str, date: str, added: License | None = None
) -> str:
    """A dataset's description with its address, its publisher, its version and the date of its release.

    Args:
        description: croissant.json as a build wrote it.
        date: ISO 8601.
        added: a license that the publisher adds to those of the rows.
    """
    owner = {"@type": "sc:Organization", "name": repository.namespace, "url": _owner_url(repository)}
    fields = {"url": repository.url, "creator": owner, "publisher": owner, "datePublished": date}
    if added:
        fields["usageInfo"] = added.link or added.id
    described: dict[str, Any] = json.loads(description) | fields | {"version": tag.removeprefix("v")}
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def without_release(description: str, version: str) -> str:
    """A description as a build writes it.

    Args:
        version: of the schema.

    Raises:
        ValueError: if it is not a JSON object.
    """
    described = json.loads(description)
    if not isinstance(described, Mapping):
        raise ValueError("croissant.json is not an object")
    kept = {key: value for key, value in described.items() if key not in _RELEASE_FIELDS}
    return json.dumps(kept | {"version": version}, indent=1, ensure_ascii=False) + "\n"


def release_date(description: bytes) -> str | None:
    """The date of the release that a published description names; None if it names none."""
    try:
        described = json.loads(description)
        return str(described["datePublished"])
    except (ValueError, KeyError, TypeError):
        return None


def _owner_url(repository: Repository) -> str:
    return repository.url.removesuffix(f"/{repository.name}").replace("/datasets/", "/")
