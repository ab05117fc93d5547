"""Placeholders for secrets: equal values get equal placeholders, and an address stays an address.

The three hex digits distinguish the few values of an episode and are too few to test a guess against.
"""

import hashlib
import re

_PLACEHOLDER = re.compile(
    r"^(?:redacted-[a-z]+-[0-9a-f]{3}\b.*|user-[0-9a-f]{3}(?:@|%40)example\.com|instance\.example\.com|User [0-9a-f]{3}|user)$",
    re.DOTALL,
)

_DOCUMENTATION_DOMAIN = re.compile(r"(?:@|%40|\.)example\.(?:com|org|net)$", re.IGNORECASE)
"""Domains reserved for documentation (RFC 2606)."""


def is_harmless(value: str) -> bool:
    """Whether a value is a placeholder, or an address of a domain that is reserved for documentation."""
    return bool(_PLACEHOLDER.match(value) or _DOCUMENTATION_DOMAIN.search(value))


def placeholder(kind: str, value: str) -> str:
    """The replacement of a secret: equal for equal values, whatever their letter case."""
    digest = hashlib.sha256(f"{kind}\0{value.lower().replace('%40', '@')}".encode()).hexdigest()[:3]
    if kind == "email":
        return f"user-{digest}{'%40' if '%40' in value else '@'}example.com"
    return {"host": "instance.example.com", "home": "user", "account": f"User {digest}"}.get(
        kind, f"redacted-{kind}-{digest}"
    )
