"""Decodes a text: percent, HTML, backslash, quoted-printable, UTF-7, base64, base85, base32, hex, uuencoded and compressed forms, tokens that
are reversed, in ROT13 or cut by line breaks; nested up to three deep.

A secret that was redacted in plain form can survive in an encoded one (the query of a URL, page source, a data: URL).
"""

import base64
import binascii
import bz2
import codecs
import contextlib
import html
import itertools
import lzma
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote_plus

import pyarrow as pa

from agentmerge_hub.dataset.redaction.rules.value_checks import changes_often

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_ENTITY = re.compile(r"&(?:#\d+|#x[0-9A-Fa-f]+|[A-Za-z]{2,8});")
_ESCAPE = re.compile(r"\\+(u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|U[0-9A-Fa-f]{8}|[0-7]{3})")
_MARKDOWN = re.compile(r"\\([_.@:/~+-])")
"""A character of a token or an address that Markdown, or a pattern, has behind a backslash, e.g. an underscore."""
_QUOTED = re.compile(r"(?:=[0-9A-F]{2}){2,}|=(?!3\d|4[1-9A-F]|5[\dA]|6[1-9A-F]|7[\dA])[0-9A-F]{2}")
"""No single letter or digit: programs do not escape one, and ``id=45a9`` in an address is none."""
_BASE64 = re.compile(
    # Small and capital letters both: paths and hex ids, which pages are full of, mostly lack one of them.
    r"(?<![A-Za-z0-9+/_-])(?=[a-z0-9+/_-]*[A-Z])(?=[A-Z0-9+/_-]*[a-z])[A-Za-z0-9+/_-]{16,}(?:\r?\n[A-Za-z0-9+/_-]{2,})*"
)
_BASE32 = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{20,}(?![A-Za-z0-9])")
_IN_BASE85 = r"[!#-&(-+\-0-9;-Z^-~]"
_BASE85 = re.compile(  # with letters of both cases, a digit and a sign that base64 lacks
    rf"(?<!{_IN_BASE85})(?={_IN_BASE85}*[!#$%&()*;<>?@^`{{|}}~])(?={_IN_BASE85}*[a-z])(?={_IN_BASE85}*[A-Z])(?={_IN_BASE85}*\d)"
    rf"{_IN_BASE85}{{20,}}"
)
_ASCII85 = re.compile(r"<~[!-uz\s]{12,}~>")
_UUENCODED = re.compile(r"^begin [0-7]{3} .*\n((?:[ -`]{1,61}\r?\n)+)", re.MULTILINE)
_UTF7 = re.compile(r"\+(A[A-H][A-Za-z0-9+/]+)-?")
"""Characters of ASCII as UTF-7 writes them, e.g. ``+AEA-``."""
_START = r"(?<![\w-])(?:gh[opsur]_|github_pat_|hf_|sk-|glpat-|xox[abeprs]-|AKIA|ASIA)"
"""Known beginnings of tokens."""
_TOKEN = re.compile(rf"{_START}[\w-]{{12,}}")
_CUT_TOKEN = re.compile(rf"{_START}[\w-]*(?:\r?\n[ \t>]{{0,20}}[\w-]{{2,}}){{1,4}}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}[ :]?){8,}[0-9A-Fa-f]?")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
_TAGS = {0xE0000 + code: code for code in range(32, 127)}
"""Invisible characters that stand for those of ASCII."""
_WORDS = re.compile(rb"[\x20-\x7e\t\r\n]{8,}")
_WIDE_WORDS = re.compile(rb"(?:[\x20-\x7e\t\r\n]\x00){8,}")
_CODES = re.compile(r"(?:(?:0x)?[0-9A-Fa-f]{2,3}(?:\s?[,;]\s{0,3}|\s)){11,}(?:0x)?[0-9A-Fa-f]{2,3}")
MIN_CODES = 8
"""Numbers in a row from which on they count as the codes of characters."""
_DEPTH = 3
_LONGEST = 2**24
"""Bytes decompressed from one piece, so that a gzip bomb stays small."""


def decodings(text: str, depth: int = _DEPTH) -> Iterator[str]:
    """The text itself, then every decoding of it, encoded up to `depth` times over."""
    seen = {text}
    yield text
    waiting = [(text, depth)]
    while waiting:
        current, left = waiting.pop()
        for decoded in _decoded_once(current) if left else ():
            if decoded not in seen:
                seen.add(decoded)
                yield decoded
                waiting.append((decoded, left - 1))


def _decoded_once(text: str) -> Iterator[str]:
    if not text.isascii():
        yield _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(_TAGS)
    if _PERCENT.search(text):
        yield unquote_plus(text)
    if _ENTITY.search(text):
        yield html.unescape(text)
    if _ESCAPE.search(text):
        yield _ESCAPE.sub(_unescaped, text)
    if _MARKDOWN.search(text):
        yield _MARKDOWN.sub(r"\1", text)
    if _QUOTED.search(text):
        whole = text.replace("=\r\n", "").replace("=\n", "")
        yield _QUOTED.sub(lambda run: bytes.fromhex(run[0].replace("=", "")).decode(errors="replace"), whole)
    # Characters before an encoded text can look like a part of it: decode from every possible start.
    for run in _HEX.finditer(text):
        digits = re.sub("[ :]", "", run[0])
        for start in range(2):
            yield from _strings(bytes.fromhex(digits[start : start + (len(digits) - start) // 2 * 2]))
    for run in _BASE32.finditer(text):
        with contextlib.suppress(ValueError):
            yield from _strings(base64.b32decode(run[0] + "=" * (-len(run[0]) % 8)))
    for run in _BASE85.finditer(text):
        for start in range(5):
            yield from _strings(b"".join(_from_base85(run[0][start:])))
    for run in _ASCII85.finditer(text):
        with contextlib.suppress(ValueError):
            yield from _strings(base64.a85decode(run[0], adobe=True))
    for run in _UUENCODED.finditer(text):
        yield from _strings(b"".join(_from_uuencoded(run[1].splitlines())))
    if _UTF7.search(text):
        yield _UTF7.sub(_from_utf7, text)
    for written in (text[::-1], codecs.encode(text, "rot13")):
        yield from _TOKEN.findall(written)
    for run in _CUT_TOKEN.finditer(text):
        if changes_often(token := re.sub(r"[\s>]", "", run[0])):
            yield token
    for run in _CODES.finditer(text):
        yield from texts_of_codes(_numbers(run[0]))
    for run in _BASE64.finditer(text):
        letters = "".join(run[0].split()).replace("-", "+").replace("_", "/")
        for start in range(4):
            yield from _strings(_from_base64(letters[start:]))


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1]
    code = int(digits, 8) if digits.isdigit() and len(digits) == 3 else int(digits[1:], 16)
    return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else found[0]


def _numbers(codes: str) -> Iterator[int]:
    """Numbers of a text, decimal unless one starts with ``0x`` or has a letter."""
    words = re.split(r"[\s,;]+", codes)
    base = 16 if any(not word.isdigit() for word in words) else 10
    return (int(word.removeprefix("0x"), base) for word in words)


def texts_of_codes(numbers: Iterable[float]) -> Iterator[str]:
    """The texts whose characters have these numbers: printable ASCII characters, at least `MIN_CODES` in a row."""
    run: list[str] = []
    for number in itertools.chain(numbers, (0,)):
        if 32 <= number <= 126 and number == int(number):
            run.append(chr(int(number)))
        else:
            if len(run) >= MIN_CODES:
                yield "".join(run)
            run = []


def _from_base64(letters: str) -> bytes:
    whole = letters[: len(letters) - (len(letters) % 4 == 1)]
    return base64.b64decode(whole + "=" * (-len(whole) % 4))


def _from_utf7(run: re.Match[str]) -> str:
    return _from_base64(run[1]).decode("utf-16-be", "replace")


def _from_base85(letters: str) -> Iterator[bytes]:
    """The bytes of each five letters; a group that is none, from the text around, counts as a zero byte."""
    for start in range(0, len(letters), 5):
        try:
            yield base64.b85decode(letters[start : start + 5])
        except ValueError:
            yield b"\0"


def _from_uuencoded(lines: Iterable[str]) -> Iterator[bytes]:
    for line in lines:
        with contextlib.suppress(binascii.Error):
            yield binascii.a2b_uu(line)


def _strings(content: bytes) -> Iterator[str]:
    """The printable strings in some bytes, after decompression where they are compressed."""
    content = _decompressed(content)
    for found in (_WORDS.findall(content), [wide[::2] for wide in _WIDE_WORDS.findall(content)]):
        if found:
            yield "\n".join(word.decode("ascii") for word in found)


def texts_in_bytes(content: bytes) -> list[str]:
    """The texts that some bytes hold: decompressed up to three times, then as UTF-8, UTF-16 and UTF-32, else printable strings."""
    for _ in range(_DEPTH):
        content = _decompressed(content)
    texts = []
    for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32"):
        with contextlib.suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            if encoding == "utf-8" or sum(letter.isascii() for letter in text) * 2 > len(text):
                texts.append(text)
    return texts if texts and "\0" not in texts[0] else [*texts, *_strings(content)]


def _decompressed(content: bytes) -> bytes:
    """The content of a compressed piece, at most `_LONGEST` bytes of it; the piece itself if it is not compressed."""
    for start, codec in _CODECS:
        if content.startswith(start):
            with contextlib.suppress(zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
                return codec(content)
    return content


def _zlib(window: int) -> Callable[[bytes], bytes]:
    return lambda content: zlib.decompressobj(window).decompress(content, _LONGEST)


def _arrow(codec: str) -> Callable[[bytes], bytes]:
    return lambda content: pa.CompressedInputStream(pa.BufferReader(content), codec).read(_LONGEST)


_CODECS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", _zlib(31)),
    (b"\x78", _zlib(15)),
    (b"BZh", lambda content: bz2.BZ2Decompressor().decompress(content, _LONGEST)),
    (b"\xfd7zXZ", lambda content: lzma.LZMADecompressor().decompress(content, _LONGEST)),
    (b"\x28\xb5\x2f\xfd", _arrow("zstd")),
    (b"\x04\x22\x4d\x18", _arrow("lz4")),
)
