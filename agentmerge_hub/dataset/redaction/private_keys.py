"""Private keys in PEM or PGP form, which go over several lines."""

import re
from collections.abc import Iterator

HINT = "PRIVATE KEY"
"""Every private key's text holds this."""

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s]|\\[nrt])*")
_MAX_CHARACTERS = 20_000


def private_key_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each private key; a key without an end line ends with its Base64 text."""
    position = 0
    while match := _BEGIN.search(text, position):
        end = _END.search(text, match.end(), match.end() + _MAX_CHARACTERS) or _BODY.match(text, match.end())
        position = end.end() if end else match.end()
        yield match.start(), position
