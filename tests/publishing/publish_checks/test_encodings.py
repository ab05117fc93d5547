"""A secret is found in whatever encoding it is written."""

import base64
import binascii
import bz2
import codecs
import gzip
import html
import json
import lzma
import re
import zlib
from collections.abc import Callable
from urllib.parse import quote

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.publishing.publish_checks.encodings import decodings, texts_in_bytes
from agentmerge_hub.publishing.publish_checks.secret_scan import scan
from agentmerge_hub.publishing.publish_checks.text_extraction import Text

CANARY = "hf_" + "Canary0123456789" * 2 + "ab"


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent twice": lambda text: quote("".join(f"%{byte:02x}" for byte in text.encode())),
    "HTML": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML hex": lambda text: html.escape("".join(f"&#x{ord(letter):x};" for letter in text)),
    "backslash": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"k": "".join(f"\\x{ord(letter):02x}" for letter in text)})),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"key?>~={text}".encode()).decode().rstrip("="),
    "base64 in a path": lambda text: "abc/de/" + base64.b64encode(text.encode()).decode(),
    "base64 over lines": lambda text: base64.encodebytes(
        b"user: somebody at home, key: " + f"{text} ".encode() * 3
    ).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "hex behind a letter": lambda text: "f" + text.encode().hex(),
    "hex": lambda text: text.encode().hex(),
    "gzip": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "fullwidth": lambda text: "".join(chr(ord(letter) + 0xFEE0) for letter in text),
    "zero width": lambda text: "\u200b".join(text),
    "tag characters": lambda text: "".join(chr(ord(letter) + 0xE0000) for letter in text),
    "Markdown": lambda text: re.sub(r"([_.@:/~+-])", r"\\\1", text),
    "base85": lambda text: base64.b85encode(f"key={text} ".encode()).decode(),
    "Ascii85": lambda text: base64.a85encode(text.encode(), adobe=True).decode(),
    "uuencoded": lambda text: "".join(
        [
            "\nbegin 644 key\n",
            *(binascii.b2a_uu(text.encode()[at : at + 45]).decode() for at in range(0, len(text), 45)),
            "`\nend\n",
        ]
    ),
    "UTF-7": lambda text: re.sub(
        "[^A-Za-z0-9]",
        lambda sign: f"+{base64.b64encode(sign[0].encode('utf-16-be')).decode().rstrip('=')}-",
        text,
    ),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
}


@pytest.mark.parametrize("form", ENCODINGS)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    text = f"[a1] link 'x', url='https://a.example/?q={ENCODINGS[form](CANARY)}&n=1'"
    assert [what for _, what in scan([Text("here", text)], {})]


@pytest.mark.parametrize(
    "form",
    [
        lambda token: token[::-1],
        lambda token: codecs.encode(token, "rot13"),
        lambda token: f"{token[:12]}\n{token[12:]}",
        lambda token: f"{token[:5]}\r\n> {token[5:15]}\r\n> {token[15:]}",
    ],
    ids=["backwards", "ROT13", "cut", "cut in a quotation"],
)
@pytest.mark.parametrize("token", ["hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH", "AKIA" + "Q3EGRT5YNV7KZX2M"])
def test_a_token_is_found_whatever_was_done_to_it(token: str, form: Callable[[str], str]) -> None:
    assert [what for _, what in scan([Text("here", f"The key is {form(token)} as ever")], {})]


@pytest.mark.parametrize(
    "text",
    [
        "pip install hf_transfer\nHuggingFace downloads faster",
        "with sk-learn\nRandomForestClassifier2",
        "C++Additive, +AboutUs-",
        "url='https://x.org/list.do?sysparm_userpref_module=45a9344bc6112293018d343ac144b45a&n=1'",
    ],
)
def test_what_only_looks_encoded_is_no_token(text: str) -> None:
    assert list(scan([Text("here", text)], {})) == []


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=300))
def test_reading_ends_whatever_the_text(text: str) -> None:
    found = list(decodings(text))
    assert found[0] == text and len(found) < 2000


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60),
    st.sampled_from(sorted(ENCODINGS)),
)
def test_any_value_of_this_machine_is_found_in_every_form(value: str, form: str) -> None:
    assert ("here", "mine") in list(scan([Text("here", f"a {ENCODINGS[form](value)} b")], {value: "mine"}))


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, zlib.compress, bz2.compress, lzma.compress, zstd, lambda data: gzip.compress(bz2.compress(data))],
)
def test_compressed_bytes_are_read(pack: Callable[[bytes], bytes]) -> None:
    assert texts_in_bytes(pack(CANARY.encode())) == [CANARY]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_bytes_in_unicode_encodings_are_read(encoding: str) -> None:
    assert any(CANARY in text for text in texts_in_bytes(f"key {CANARY}".encode(encoding)))
