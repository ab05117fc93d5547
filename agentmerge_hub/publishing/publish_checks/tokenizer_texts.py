"""Tokenizers → the texts in them: vocabulary, added tokens, settings."""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.encodings import texts_of_codes
from agentmerge_hub.publishing.publish_checks.text_extraction import (
    Content,
    Pairs,
    Text,
    document_texts,
    json_texts,
    read_bytes,
    read_json,
)

_LONG = 12
"""Characters of a token from which on it is scanned: shorter ones hold no secret."""


def tokenizer_texts(name: str, content: Content) -> Iterator[Text]:
    """A tokenizer.json: settings and added tokens as documents, long tokens of vocabulary and merges as data.

    Raises:
        UserError: if it is not JSON, not that of a tokenizer, or names code to load.
    """
    settings, tokenizer = Pairs(), read_json(name, content)
    if not _is_tokenizer(tokenizer):
        raise UserError(f"{name} is not a tokenizer, which its name promises: remove it")
    for key, value in tokenizer:
        if key == "model" and isinstance(value, Pairs):
            settings += [(inner, item) for inner, item in value if inner not in ("vocab", "merges")]
            yield from tokens_text(name, [item for inner, item in value if inner in ("vocab", "merges")])
        else:
            settings.append((key, value))
    yield from json_texts(name, json.dumps(_plain(settings), ensure_ascii=False).encode("utf-8", "replace"))


def _is_tokenizer(value: Any) -> bool:
    """Whether a JSON value has a model with a vocabulary, and added tokens with their texts."""
    if not isinstance(value, Pairs):
        return False
    model, added = dict(value).get("model"), dict(value).get("added_tokens", [])
    return (
        isinstance(model, Pairs)
        and isinstance(dict(model).get("vocab"), list)
        and isinstance(added, list)
        and all(isinstance(token, Pairs) and isinstance(dict(token).get("content"), str) for token in added)
    )


def vocabulary_texts(name: str, content: Content) -> Iterator[Text]:
    """vocab.json, vocab.txt or merges.txt: the long tokens.

    Raises:
        UserError: if it is not a table of tokens and their numbers, a list of tokens, or a list of pairs.
    """
    if Path(name).suffix == ".json":
        value = read_json(name, content)
        if not isinstance(value, Pairs) or not all(type(number) is int for _, number in value):
            raise UserError(f"{name} is not a table of tokens and their numbers, which its name promises: remove it")
        yield from tokens_text(name, value)
        yield from (Text(f"{name}'s vocabulary", text) for text in texts_of_codes(number for _, number in value))
        return
    n_parts = 2 if name == "merges.txt" else 1
    for text in document_texts(name, content):
        lines = text.text.split("\n")
        if any(len(line.split(" ")) != n_parts for line in lines if line and not line.startswith("#version")):
            raise UserError(
                f"{name} is not a list of {'pairs of ' if n_parts == 2 else ''}tokens, which its name promises: remove it"
            )
        yield from tokens_text(name, text.text.split())


def sentencepiece_texts(name: str, content: Content) -> Iterator[Text]:
    """The pieces and settings of a SentencePiece model, a protocol buffer that has to parse completely.

    Raises:
        UserError: if it does not.
    """
    try:
        fields = list(_protobuf_fields(read_bytes(content)))
    except (ValueError, IndexError):
        raise UserError(f"{name} is not a SentencePiece model, which its name promises: remove it") from None
    yield from tokens_text(name, [field for field in fields if isinstance(field, str)])
    numbers = (field for field in fields if not isinstance(field, str))
    yield from (Text(f"{name}'s numbers", text) for text in texts_of_codes(numbers))


def tokens_text(name: str, value: Any) -> Iterator[Text]:
    """Long strings anywhere in a value, joined line by line."""
    waiting, found = [value], []
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            found += [part for part in current.split() if len(part) >= _LONG]
        elif isinstance(current, list | tuple):
            waiting.extend(current)
    if found:
        yield Text(f"{name}'s vocabulary", "\n".join(found))


def _plain(value: Any) -> Any:
    """Pairs as an object; of duplicate keys each keeps its value under a longer key."""
    if isinstance(value, Pairs):
        plain: dict[str, Any] = {}
        for key, item in value:
            while key in plain:
                key += " "
            plain[key] = _plain(item)
        return plain
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _protobuf_fields(data: bytes, depth: int = 0) -> Iterator[str | float]:
    """Texts and numbers of a message, nested messages included."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            number, at = _varint(data, at)
            yield number
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError
            field, at = data[at : at + length], at + length
            if depth == 0:
                yield from _protobuf_fields(field, depth + 1)
            else:
                yield field.decode("utf-8", "replace")
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            if at + size > len(data):
                raise ValueError
            (value,) = struct.unpack("<d" if wire == 1 else "<f", data[at : at + size])
            at += size
            if math.isfinite(value):
                yield value
        else:
            raise ValueError


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
