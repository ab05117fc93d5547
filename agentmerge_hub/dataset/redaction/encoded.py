"""Texts that a line holds in Base64 or as hex digits: a secret in them is readable for everybody."""

import base64
import contextlib
import re
from collections.abc import Iterator

_BASE64 = re.compile(
    # Small and capital letters both: paths and ids, which pages are full of, mostly lack one of them.
    r"(?<![A-Za-z0-9+/_-])(?=[a-z0-9+/_-]*[A-Z])(?=[A-Z0-9+/_-]*[a-z])[A-Za-z0-9+/_-]{20,}={0,2}"
)
_HEX = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){16,}(?![0-9A-Fa-f])")
_FIRST = 64
"""Characters that are decoded to see whether the rest is a text: a picture is none."""


def encoded_texts(line: str) -> Iterator[tuple[int, int, str]]:
    """Start and end of each encoded text of a line, and the text."""
    for run in _BASE64.finditer(line):
        letters = run[0].rstrip("=").replace("-", "+").replace("_", "/")
        if _from_base64(letters[:_FIRST]) and (text := _from_base64(letters)):
            yield *run.span(), text
    for run in _HEX.finditer(line):
        if text := _as_text(bytes.fromhex(run[0])):
            yield *run.span(), text


def _from_base64(letters: str) -> str:
    whole = letters[: len(letters) - (len(letters) % 4 == 1)]
    with contextlib.suppress(ValueError):
        return _as_text(base64.b64decode(whole + "=" * (-len(whole) % 4)))
    return ""


def _as_text(data: bytes) -> str:
    """The bytes as a text, empty if they are none."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return ""
    return text if all(character.isprintable() or character in "\t\r\n" for character in text) else ""
