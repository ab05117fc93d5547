"""Placeholders for secrets: equal values get equal placeholders, and an address stays an address.

The three hex digits distinguish the few values of an episode and are too few to test a guess against.
"""

import hashlib
import re
from collections.abc import Iterator

_PLACEHOLDER = re.compile(
    r"redacted-[a-z]+-[0-9a-f]{3}(?![0-9a-f])|user-[0-9a-f]{3}(?:@|%40)example\.com|instance\.example\.com|User[ .+_][0-9a-f]{3}\b"
)
_NOTHING_SECRET = re.compile(r"(?:\W|_|user|com|%[0-9A-F]{2}|\w{1,3}(?!\w))*", re.IGNORECASE)
"""What may surround a placeholder in a match of a rule."""

_DOCUMENTATION_DOMAIN = re.compile(r"(?:@|%40|\.|^)example\.(?:com|org|net|edu)$|\.example$", re.IGNORECASE)
"""Domains reserved for documentation (RFC 2606)."""


def is_harmless(value: str) -> bool:
    """Whether a value is a placeholder, or an address of a domain that is reserved for documentation."""
    if value == "user" or _DOCUMENTATION_DOMAIN.search(value):
        return True
    rest, n_placeholders = _PLACEHOLDER.subn(" ", value)
    return n_placeholders > 0 and _NOTHING_SECRET.fullmatch(rest) is not None


def placeholder_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each placeholder in a text, without those of home folders, which are the plain word ``user``."""
    return (match.span() for match in _PLACEHOLDER.finditer(text))


def placeholder(kind: str, value: str, original: str = "") -> str:
    """The replacement of a secret: equal for equal values, however they are written.

    Args:
        kind: a key of rule.KINDS.
        value: the secret without escapes.
        original: the secret as the text holds it; an escaped ``@`` stays escaped.
    """
    if kind == "person":  # a person that the menu names is the same one in a field
        kind = "account"
    digest = hashlib.sha256(f"{kind}\0{_normalized(kind, value)}".encode()).hexdigest()[:3]
    if kind == "email":
        return f"user-{digest}{'%40' if '%40' in original else '@'}example.com"
    return {"host": "instance.example.com", "home": "user", "account": f"User {digest}"}.get(
        kind, f"redacted-{kind}-{digest}"
    )


def _normalized(kind: str, value: str) -> str:
    value = value.lower()
    if kind == "email":
        value = re.sub(r"[\[({<\s]+(?:at|@)[\])}>\s]+", "@", value)
        return re.sub(r"[\[({<\s]+dot[\])}>\s]+", ".", value)
    if kind == "phone":
        return "".join(character for character in value if character.isdigit())
    if kind == "number":
        return "".join(character for character in value if character.isalnum())
    return " ".join(re.findall(r"\w+", value)) if kind == "account" else value
