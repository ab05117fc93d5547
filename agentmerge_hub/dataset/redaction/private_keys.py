"""Private keys in PEM, PGP, SSH2 or PuTTY's form, which go over several lines."""

import re
from collections.abc import Iterator

_HINTS = ("PRIVATE KEY", "Private-Lines:")
"""Every private key's text holds one of these."""

_BEGIN = re.compile(r"-----?[ ]?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?[ ]?-----?|Private-Lines: \d{1,4}")
_END = re.compile(r"-----?[ ]?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?[ ]?-----?|Private-MAC: [0-9a-f]{0,128}")
_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s]|\\[nrt])*")
_MAX_CHARACTERS = 20_000


def may_hold_key(text: str) -> bool:
    """A cheap condition for `private_key_spans`."""
    return any(hint in text for hint in _HINTS)


def private_key_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each private key; a key without an end line ends with its Base64 text."""
    position = 0
    while match := _BEGIN.search(text, position):
        end = _END.search(text, match.end(), match.end() + _MAX_CHARACTERS) or _BODY.match(text, match.end())
        position = end.end() if end else match.end()
        yield match.start(), position
