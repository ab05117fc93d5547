"""PNG files → the texts of their text chunks. A picture with a chunk of an unknown type is refused."""

import zlib
from collections.abc import Iterator

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.encodings import texts_in_bytes
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text, read_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"bKGD", b"sBIT")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
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
    at, kind = len(SIGNATURE), b""
    while at < len(data) and kind != b"IEND":
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        body, check = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if zlib.crc32(kind + body) != int.from_bytes(check) or len(check) != 4:
            raise UserError(f"{name} is damaged: the checksum of a chunk is wrong")
        if kind in _TEXT:
            yield from (Text(f"{name}'s {kind.decode()} chunk", text, document=True) for text in _texts(kind, body))
        elif kind not in _PICTURE:
            raise UserError(f"{name} has a chunk {kind!r}, which is not published: save the picture without metadata")
        at += 12 + length
    if kind != b"IEND" or at != len(data):
        raise UserError(f"{name} is cut off or has data behind its end: save the picture again")


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
