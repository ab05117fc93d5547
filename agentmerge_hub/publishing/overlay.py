"""An overlay: a Markdown file with hand-written metadata and text that is merged into the generated card of a push.

Its metadata can set ``contact`` (an address for requests of removal), every ``extra_gated_*`` key of the Hub, ``tags``, and with
``license``, ``license_name`` and ``license_link`` a license that applies in addition to the derived terms; its text becomes the
end of the card.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files import strict_yaml
from agentmerge_hub.licenses import added_license, license_terms
from agentmerge_hub.publishing.hub.repository import Repository
from agentmerge_hub.publishing.hub.withdrawn import with_warning
from agentmerge_hub.publishing.session_traces import without_sessions

_BLOCK = re.compile(r"---\n(.*?)\n---\n?", re.DOTALL)
_METADATA = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
"""Of an overlay, which people write: with blanks behind the lines, or empty."""
_PUBLISHER = "<!-- added by the publisher -->\n\n"
"""Starts the part of a card that is not generated from the data."""
_LICENSE_KEYS = ("license", "license_name", "license_link")
_DERIVED = re.compile(r"<!-- derived license: (\{.*\}) -->\n")
"""Keeps what the card said without the license that the publisher added."""
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@dataclass(frozen=True)
class Overlay:
    """What is added to a card."""

    metadata: dict[str, Any] = field(default_factory=dict)
    contact: str = ""
    text: str = ""
    license: license_terms.License | None = None
    """Applies in addition to the derived terms."""

    @property
    def allowed(self) -> dict[str, str]:
        """The contact's addresses, which may be published, with the reason."""
        return dict.fromkeys(_ADDRESS.findall(self.contact), "contact of the publisher")


def read_overlay(path: Path | None) -> Overlay:
    """The overlay of a file; an empty one if there is none.

    Raises:
        UserError: if it cannot be read, or sets metadata that the card generates.
    """
    if path is None:
        return Overlay()
    with os_errors_as_sentences():
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    block = _METADATA.match(text)
    metadata = (strict_yaml.load(block[1], f"The metadata of {path}") if block else None) or {}
    if not isinstance(metadata, dict):
        raise UserError(f"The metadata of {path} is not a mapping: write lines `key: value` between two lines `---`.")
    contact = metadata.pop("contact", None) or ""
    metadata["tags"] = metadata.get("tags") or []
    if not isinstance(contact, str):
        raise UserError(f"{path} sets contact to {contact!r}: write one address or link as text.")
    if not (isinstance(metadata["tags"], list) and all(isinstance(tag, str) for tag in metadata["tags"])):
        raise UserError(f"{path} sets tags to {metadata['tags']!r}: write a list of texts.")
    named = {key: metadata.pop(key) for key in _LICENSE_KEYS if key in metadata}
    unknown = [key for key in metadata if key != "tags" and not str(key).startswith("extra_gated_")]
    if unknown:
        raise UserError(
            f"{path} sets {', '.join(map(str, unknown))}: an overlay can set contact, tags and extra_gated_* keys, and a license "
            "in addition to the derived ones; the card generates the rest."
        )
    try:
        license = added_license.parse(named)
    except ValueError as error:
        raise UserError(f"{path} sets {error}.") from None
    return Overlay(metadata, contact, (text[block.end() :] if block else text).strip(), license)


def check_license(overlay: Overlay, derived: Collection[str], files: Collection[str]) -> list[str]:
    """Findings on the license that an overlay adds.

    Args:
        derived: ids of the licenses that apply without it.
        files: names of the published files.
    """
    if overlay.license is None:
        return []
    link = overlay.license.link
    missing = link.startswith("LICENSE") and link not in files
    reason = added_license.contradiction(overlay.license, derived)
    return [f"--overlay adds a license that contradicts the derived terms: {reason}"] * bool(reason) + [
        f"the license_link of --overlay is {link}, which is not published: pass it with --license-file, or give an address"
    ] * missing


def apply_overlay(card: str, overlay: Overlay, repository: Repository, derived: Collection[str] = ()) -> str:
    """The card with the overlay's metadata, sections with its license and the contact, and the overlay's text.

    Args:
        derived: ids of the licenses that apply without the overlay's.
    """
    card = card.partition(_PUBLISHER)[0]
    block = _BLOCK.match(card)
    if block and overlay.license:
        before = {key: value for key, value in yaml.safe_load(block[1]).items() if key in _LICENSE_KEYS}
        card = _with_license(card, license_terms.metadata(derived, overlay.license))
        block = _BLOCK.match(card)
    if block and overlay.metadata:
        metadata = yaml.safe_load(block[1]) or {}
        extra = {key: value for key, value in overlay.metadata.items() if key != "tags"}
        tags = [tag for tag in overlay.metadata.get("tags", []) if tag not in metadata.get("tags", [])]
        lines = block[1]
        if extra:
            lines += "\n" + yaml.safe_dump(extra, allow_unicode=True, sort_keys=False).strip()
        if tags:
            key = "\ntags:\n"
            above, _, below = f"\n{lines}".partition(key)
            lines = f"{above}{key}{yaml.safe_dump(tags, allow_unicode=True)}{below}".strip("\n")
        card = f"---\n{lines}\n---\n{card[block.end() :]}"
    write_to = (
        f"write to {overlay.contact}" if overlay.contact else f"open a discussion at {repository.url}/discussions"
    )
    section = f"## Contact\n\nTo report a problem, or to ask for the removal of something about you, {write_to}.\n"
    sections = [section.rstrip(), *([overlay.text] if overlay.text else [])]
    if block and overlay.license:
        own = overlay.license
        name = f"[{own.name}]({own.link})" if own.link else own.name
        sections.insert(
            0,
            f"<!-- derived license: {json.dumps(before)} -->\n## Additional license\n\nThe publisher adds the terms of {name}. They "
            "apply together with the terms above.",
        )
    added = "\n\n".join(sections)
    return f"{card.rstrip()}\n\n{_PUBLISHER}{added}\n"


def _with_license(card: str, license: dict[str, str]) -> str:
    """The card with other values of the three license keys in its metadata."""
    block = _BLOCK.match(card)
    if not block:
        return card
    lines = [line for line in block[1].splitlines() if line.partition(":")[0] not in _LICENSE_KEYS]
    lines += yaml.safe_dump(license, sort_keys=False).splitlines()
    return "---\n" + "\n".join(lines) + f"\n---\n{card[block.end() :]}"


def generated_part(card: str) -> tuple[dict[str, Any], str]:
    """Metadata and text of a card without what an overlay added.

    Raises:
        yaml.YAMLError: if the metadata is broken.
    """
    card, _, publisher = without_sessions(with_warning(card, {})).partition(_PUBLISHER)
    card = card.rstrip() + "\n"
    if derived := _DERIVED.match(publisher):
        card = _with_license(card, _derived_license(derived[1]))
    block = _BLOCK.match(card)
    metadata = yaml.safe_load(block[1]) if block else {}
    kept = metadata if isinstance(metadata, dict) else {}
    return {key: value for key, value in kept.items() if not str(key).startswith("extra_gated_")}, (
        card[block.end() :] if block else card
    )


def _derived_license(text: str) -> dict[str, str]:
    try:
        return {key: str(value) for key, value in json.loads(text).items() if key in _LICENSE_KEYS}
    except ValueError:
        return {}
