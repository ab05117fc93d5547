"""A text and what is hidden in it: the same words in percent, HTML, backslash, base64, hex or gzip form, read back.

A secret that was redacted as it stands can survive in another form (a URL's query, a page's source, a data: address).
"""

import base64
import binascii
import codecs
import html
import re
import unicodedata
import zlib
from collections.abc import Iterator
from urllib.parse import unquote_plus

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9A-Fa-f]+|[A-Za-z]{2,8});")
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|U[0-9A-Fa-f]{8}|[0-7]{3})")
_QUOTED = re.compile(r"=(?:[0-9A-F]{2}|\r?\n)")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{12,}(?:\r?\n[A-Za-z0-9+/_-]{2,})*={0,2}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}[ :]?){8,}")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_DEPTH = 3
_LONGEST = 2**24
"""Bytes read out of one packed piece, so that a gzip bomb stays small."""


def readings(text: str, depth: int = _DEPTH) -> Iterator[str]:
    """The text itself, then every other reading of it, packed up to `depth` times over."""
    seen = {text}
    yield text
    waiting = [(text, depth)]
    while waiting:
        current, left = waiting.pop()
        for reading in _unpacked(current) if left else ():
            if reading not in seen:
                seen.add(reading)
                yield reading
                waiting.append((reading, left - 1))


def _unpacked(text: str) -> Iterator[str]:
    if not text.isascii():
        yield _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    if _PERCENT.search(text):
        yield unquote_plus(text)
    if _ENTITY.search(text):
        yield html.unescape(text)
    if _ESCAPE.search(text):
        yield _ESCAPE.sub(lambda found: codecs.decode(found[0], "unicode_escape"), text)
    if _QUOTED.search(text):
        yield _text(binascii.a2b_qp(text.encode())) or text
    for found in _HEX.finditer(text):
        digits = re.sub("[ :]", "", found[0])
        yield from _read(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    for found in _BASE64.finditer(text):
        yield from _read(_from_base64(found[0]))


def _from_base64(run: str) -> bytes:
    letters = "".join(run.split()).rstrip("=").replace("-", "+").replace("_", "/")
    whole = letters[: len(letters) - (len(letters) % 4 == 1)]
    return base64.b64decode(whole + "=" * (-len(whole) % 4))


def _read(content: bytes) -> Iterator[str]:
    """The text in some bytes, nothing if they are none."""
    for packed, window in ((b"\x1f\x8b", 31), (b"\x78", 15)):
        if content.startswith(packed):
            try:
                content = zlib.decompressobj(window).decompress(content, _LONGEST)
            except zlib.error:
                continue
    if text := _text(content):
        yield text


def _text(content: bytes) -> str:
    """Bytes as text if they read like one: UTF-8 or UTF-16 without control characters."""
    for encoding in ("utf-8", "utf-16-le") if content[1:2] == b"\0" else ("utf-8",):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if all(character.isprintable() or character in "\r\n\t" for character in text):
            return text
    return ""
