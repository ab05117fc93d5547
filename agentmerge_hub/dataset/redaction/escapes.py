"""Decode the escapes of a line (percent, HTML, backslash, full-width and invisible characters, spaces of any width) and keep the positions."""

import html
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_ESCAPE = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<entity>&(?:\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)"
    r"|(?<!\\)(?:(?P<pair>\\++u[dD][89abAB][0-9A-Fa-f]{2}\\++u[dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|(?P<code>\\++(?:u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{2}|U[0-9A-Fa-f]{8}))"
    r"|(?P<quote>\\++[\"'/_]))"  # an underscore of Markdown too; a run of backslashes is looked at once, from its beginning
    "|(?P<invisible>[\u00ad\u200b-\u200f\u2060-\u2064\ufeff])"
    "|(?P<wide>[\uff01-\uff5e\ufe6b])"
    "|(?P<space>[\u00a0\u2000-\u200a\u202f\u205f\u3000])"
)
_MAY_BEGIN = re.compile(
    "[%&\\\\\u00ad\u200b-\u200f\u2060-\u2064\ufeff\uff01-\uff5e\ufe6b\u00a0\u2000-\u200a\u202f\u205f\u3000]"
)
"""First characters of escapes: a search for one character is many times quicker than one for every kind of escape."""
_MAX_PASSES = 3
"""Escapes inside escapes, e.g. ``%2540`` or ``&amp;#64;``."""


@dataclass(frozen=True)
class DecodedLine:
    """A line without escapes."""

    text: str
    positions: tuple[int, ...]
    """Position in the original line of each decoded character, and the original's length last."""

    def original_span(self, start: int, end: int) -> tuple[int, int]:
        return self.positions[start], self.positions[end]


def decode_line(line: str) -> DecodedLine | None:
    """The line without its escapes; None if it has none."""
    if "%" not in line and "&" not in line and "\\" not in line and line.isascii():
        return None
    return _decode(line)


def _has_escape(text: str) -> bool:
    return any(_ESCAPE.match(text, begin.start()) for begin in _MAY_BEGIN.finditer(text))


@lru_cache(maxsize=20_000)
def _decode(line: str) -> DecodedLine | None:
    text, positions = line, None
    for _ in range(_MAX_PASSES):
        if not _has_escape(text):
            break
        decoded, starts = _decode_once(text)
        if decoded == text:
            break
        text, positions = decoded, [positions[start] for start in starts] if positions else starts
    return DecodedLine(text, tuple(positions)) if positions else None


def _decode_once(text: str) -> tuple[str, list[int]]:
    """The text with one level of escapes decoded, and the start in `text` of each of its characters."""
    segments: list[str] = []
    starts: list[int] = []
    position = 0
    for match in _ESCAPE.finditer(text):
        characters = _characters(match)
        segments.append(text[position : match.start()])
        starts.extend(range(position, match.start()))
        for character, offset in characters:
            segments.append(" " if character in "\n\r" else character)  # a rule must not match across lines
            starts.append(match.start() + offset)
        position = match.end()
    segments.append(text[position:])
    starts.extend(range(position, len(text) + 1))
    return "".join(segments), starts


def _characters(match: re.Match[str]) -> list[tuple[str, int]]:
    """The characters of one escape, each with its offset in the escape."""
    kind, escape = match.lastgroup, match[0]
    if kind == "percent":
        return _percent_characters(bytes.fromhex(escape.replace("%", "")))
    if kind == "entity":
        return (
            [(character, 0) for character in html.unescape(escape)]
            if html.unescape(escape) != escape
            else _same(escape)
        )
    if kind == "pair":
        high, low = (int(digits, 16) for digits in re.findall(r"u([0-9A-Fa-f]{4})", escape))
        return [(chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)), 0)]
    if kind == "code":
        code = int(escape.lstrip("\\")[1:].strip("{}"), 16)
        return [(chr(code), 0)] if code < 0x110000 and not 0xD800 <= code < 0xE000 and code != 10 else _same(escape)
    if kind == "quote":
        return [(escape[-1], 0)]
    if kind == "space":
        return [(" ", 0)]
    if kind == "wide":
        return [("@" if escape == "\ufe6b" else chr(ord(escape) - 0xFEE0), 0)]
    return []


def _percent_characters(data: bytes) -> list[tuple[str, int]]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        sizes = [1] * len(text)
    else:
        sizes = [len(character.encode()) for character in text]
    offsets = [0]
    for size in sizes:
        offsets.append(offsets[-1] + 3 * size)
    return [(character, start) for character, (start, _) in zip(text, pairwise(offsets))]


def _same(escape: str) -> list[tuple[str, int]]:
    return [(character, offset) for offset, character in enumerate(escape)]
