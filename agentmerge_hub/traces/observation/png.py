"""PNG files checked to the last pixel row and rewritten with their picture alone: no text, no profile, no animation."""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from agentmerge_hub.traces.files import Refused

SIGNATURE = b"\x89PNG\r\n\x1a\n"

MAX_BYTES = 16 * 2**20
"""Largest file. A screenshot of 1280×720 pixels takes 0.1 to 1 MB."""

MAX_PIXELS = 2**24
"""Largest picture, e.g. 4096×4096."""

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Color type → samples a pixel."""
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Color type → bits a sample."""
_KEPT = (b"PLTE", b"tRNS")
"""Chunks beside header, data and end without which the picture would look different."""


@dataclass(frozen=True)
class Png:
    """A checked picture. `data` is the file without metadata."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Chunk:
    """A chunk of a PNG file with a right checksum."""

    kind: bytes
    body: bytes
    end: int
    """Place behind it in the file."""


def chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks up to the end of the picture, or of the file where that is missing.

    Raises:
        Refused: if a chunk is cut off, or its checksum is wrong.
    """
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND" and at < len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        body, check = data[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if len(check) != 4 or zlib.crc32(kind + body) != int.from_bytes(check):
            raise Refused("is damaged: the checksum of a chunk is wrong")
        at += 12 + length
        yield Chunk(kind, body, at)


def read_png(data: bytes) -> Png:
    """Check a PNG file (https://www.w3.org/TR/png-3/) and remove its metadata. The pixels stay the same.

    Raises:
        Refused: if it is no PNG, is damaged or cut off, is interlaced, or is too large.
    """
    if not data.startswith(SIGNATURE):
        raise Refused("is no PNG")
    if len(data) > MAX_BYTES:
        raise Refused(f"is larger than {MAX_BYTES // 2**20} MB")
    kind, header, pixels, kept = b"", b"", [], []
    for number, chunk in enumerate(chunks(data)):
        kind = chunk.kind
        if (kind == b"IHDR") != (number == 0):
            raise Refused("is damaged: its header is not its first chunk")
        if kind == b"IHDR":
            header = chunk.body
        elif kind == b"IDAT":
            pixels.append(chunk.body)
        elif kind in _KEPT and not pixels:
            kept.append(_chunk(kind, chunk.body))
        elif kind != b"IEND" and not kind[:1].islower():
            raise Refused(f"has a chunk {kind!r} that no screenshot needs")
    if kind != b"IEND":
        raise Refused("is damaged: the checksum of a chunk is wrong")
    width, height = _check_pixels(header, b"".join(pixels))
    written = [_chunk(b"IHDR", header), *kept, _chunk(b"IDAT", b"".join(pixels)), _chunk(b"IEND", b"")]
    return Png(b"".join([SIGNATURE, *written]), width, height)


def _check_pixels(header: bytes, packed: bytes) -> tuple[int, int]:
    """Width and height, if the data hold exactly the rows of the picture."""
    if len(header) != 13:
        raise Refused("is damaged: its header is too short or too long")
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    depth, color, compression, filtering, interlace = header[8:]
    if depth not in _DEPTHS.get(color, ()) or compression or filtering:
        raise Refused("is damaged: its header has values that PNG does not know")
    if interlace:
        raise Refused("is interlaced, as no screenshot is")
    if not 0 < width * height <= MAX_PIXELS:
        raise Refused(f"has {width}×{height} pixels: at most {MAX_PIXELS:,} are read")
    row = 1 + math.ceil(width * CHANNELS[color] * depth / 8)
    unpacking = zlib.decompressobj()
    try:
        rows = unpacking.decompress(packed, row * height + 1)
    except zlib.error as error:
        raise Refused(f"is damaged ({str(error)[:100]})") from None
    if len(rows) != row * height or not unpacking.eof or unpacking.unused_data:
        raise Refused("is damaged: its data are not the rows of the picture")
    if max(rows[::row]) > 4:
        raise Refused("is damaged: a row has an unknown filter")
    return width, height


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
