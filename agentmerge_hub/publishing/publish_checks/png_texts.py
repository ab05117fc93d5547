"""PNG files → the texts of their text chunks. A picture with a chunk of an unknown type is refused."""

import struct
import zlib
from collections.abc import Iterator

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.encodings import texts_in_bytes
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text, read_bytes
from agentmerge_hub.traces.files import Refused
from agentmerge_hub.traces.observation.png import CHANNELS, SIGNATURE, chunks

_MAX_BYTES = {
    b"IHDR": 13, b"PLTE": 768, b"IDAT": 2**31, b"IEND": 0, b"tRNS": 256, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"bKGD": 6, b"sBIT": 4,
}  # fmt: skip
"""Chunks of pictures, and how long they can be."""
_TABLES = (b"PLTE", b"tRNS", b"cHRM")
"""Chunks whose bytes can be text."""
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column and line, and steps to the next ones, of each pass of an interlaced picture."""
_PIECE = 2**20
_MAX_TEXT = 2**24
"""Bytes decompressed from one chunk."""


def png_texts(name: str, content: Content) -> Iterator[Text]:
    """Texts of a PNG (https://www.w3.org/TR/png-3/#11textinfo), decompressed.

    Raises:
        UserError: if it is no PNG, is damaged, has other chunks or data behind its end.
    """
    data = read_bytes(content)
    if not data.startswith(SIGNATURE):
        raise UserError(f"{name} is not a PNG, which its name promises: remove it")
    seen: list[bytes] = []
    end, pixels = len(SIGNATURE), _Pixels(name)
    try:
        for chunk in chunks(data):
            kind, body, end = chunk.kind, chunk.body, chunk.end
            if kind in _TEXT:
                yield from (Text(f"{name}'s {kind.decode()} chunk", text, document=True) for text in _texts(kind, body))
            elif kind not in _MAX_BYTES or len(body) > _MAX_BYTES[kind] or (kind != b"IDAT" and kind in seen):
                raise UserError(
                    f"{name} has a chunk {kind!r}, which is not published: save the picture without metadata"
                )
            elif kind in _TABLES:
                yield from (Text(f"{name}'s {kind.decode()} chunk", text) for text in texts_in_bytes(body))
            elif kind == b"IHDR":
                pixels.start(body)
            elif kind == b"IDAT":
                pixels.add(body)
            seen.append(kind)
    except Refused as error:
        raise UserError(f"{name} {error}") from None
    if seen[-1:] != [b"IEND"] or end != len(data) or not pixels.are_whole():
        raise UserError(f"{name} is cut off or has data behind its end: save the picture again")


class _Pixels:
    """Counts the bytes of a picture's lines: there may be no others behind them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._stream = zlib.decompressobj()
        self._left = -1

    def start(self, header: bytes) -> None:
        width, height, depth, color, _, _, interlace = struct.unpack(">IIBBBBB", header.ljust(13, b"\0"))
        bits = depth * CHANNELS.get(color, 1)
        passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
        sizes = [(len(range(x, width, dx)), len(range(y, height, dy))) for x, y, dx, dy in passes]
        self._left = sum(lines * (1 + (columns * bits + 7) // 8) for columns, lines in sizes if columns)

    def add(self, body: bytes) -> None:
        """Raise UserError for damaged pixels, or more than the picture's size has."""
        try:
            while body and not self._stream.eof:
                self._left -= len(self._stream.decompress(body, _PIECE))
                body = self._stream.unconsumed_tail
                if self._left < 0:
                    break
        except zlib.error:
            raise UserError(f"{self._name} is damaged: its pixels cannot be decompressed") from None
        if self._left < 0 or self._stream.unused_data or (self._stream.eof and body):
            raise UserError(f"{self._name} has data behind its pixels: save the picture again")

    def are_whole(self) -> bool:
        return self._left == 0 and self._stream.eof


def _texts(kind: bytes, body: bytes) -> Iterator[str]:
    keyword, _, rest = body.partition(b"\0")
    yield keyword.decode("latin-1")
    if kind == b"tEXt":
        yield rest.decode("latin-1")
        return
    if kind == b"iTXt":  # compression flag, method, language, translated keyword, text
        flag, rest = rest[:1], rest[2:]
        language, _, rest = rest.partition(b"\0")
        translated, _, rest = rest.partition(b"\0")
        yield f"{language.decode('latin-1')} {translated.decode('utf-8', 'replace')}"
    else:
        flag, rest = b"\1", rest[1:]
    if flag == b"\1":
        try:
            rest = zlib.decompressobj().decompress(rest, _MAX_TEXT)
        except zlib.error:
            raise UserError("a compressed text chunk of a picture is damaged: save the picture again") from None
    yield from texts_in_bytes(rest)
