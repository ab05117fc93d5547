"""PNG files of traces: the picture alone is kept, and a file that is not wholly a picture is refused."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from agentmerge_hub.traces.files import Refused
from agentmerge_hub.traces.observation.png import MAX_BYTES, read_png

PIXELS = np.arange(48 * 30 * 3, dtype=np.uint8).reshape(30, 48, 3)


def png(mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, "PNG", **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_the_pixels_stay_and_the_metadata_go(mode: str) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "taken by Alice")
    texts.add_itxt("Software", "secret", zip=True)
    original = png(mode, pnginfo=texts, dpi=(72, 72), icc_profile=b"profile", exif=b"Exif\0\0MM")
    read = read_png(original)
    assert (read.width, read.height) == (48, 30)
    shown = Image.open(io.BytesIO(read.data))
    assert shown.info.keys() <= {"transparency"} and len(read.data) < len(original)
    assert np.array_equal(
        np.asarray(shown.convert("RGBA")), np.asarray(Image.open(io.BytesIO(original)).convert("RGBA"))
    )
    assert read_png(read.data) == read


def test_what_is_not_wholly_a_picture_is_refused() -> None:
    good = png()
    header, data, end = good[8:33], good[33:-12], good[-12:]
    assert good == b"\x89PNG\r\n\x1a\n" + header + data + end
    packed = zlib.compress(b"\0" * 40)
    wide = (2**16).to_bytes(4) * 2 + bytes([8, 2, 0, 0, 0])
    cases = {
        "is no PNG": b"GIF89a" + good,
        "checksum": good.replace(b"IDAT", b"IDAX"),
        "checksum of a chunk is wrong": good[:-5],
        "its header is not its first chunk": good[:8] + data + end,
        "its data are not the rows": good[:8] + header + chunk(b"IDAT", packed) + end,
        "is damaged (": good[:8] + header + chunk(b"IDAT", b"no zlib") + end,
        "has values that PNG does not know": good[:8] + chunk(b"IHDR", b"\0\0\0\1\0\0\0\1\3\2\0\0\0") + data + end,
        "pixels: at most": good[:8] + chunk(b"IHDR", wide) + data + end,
        "no screenshot needs": good[:8] + header + chunk(b"EVIL", b"x") + data + end,
        "is larger than": good[:8] + b"\0" * MAX_BYTES,
        "unknown filter": good[:8] + header + chunk(b"IDAT", zlib.compress((b"\7" + b"\0" * 144) * 30)) + end,
        "not the rows of the picture": good[:8]
        + header
        + chunk(b"IDAT", zlib.compress(b"\0" * 145 * 30) + b"more")
        + end,
    }
    for reason, damaged in cases.items():
        with pytest.raises(Refused) as refused:
            read_png(damaged)
        assert reason in str(refused.value), reason


def test_a_small_file_cannot_take_much_memory() -> None:
    bomb = zlib.compress(b"\0" * 50_000_000)
    with pytest.raises(Refused, match="not the rows"):
        read_png(png()[:33] + chunk(b"IDAT", bomb) + chunk(b"IEND", b""))
