"""Weights and tokenizers → the texts in them: tensor names, metadata, vocabulary, added tokens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.text_extraction import (
    Content,
    Pairs,
    Text,
    document_texts,
    json_texts,
    read_bytes,
    read_json,
)

_DTYPES = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "I64")
"""Numbers that weights and position tables hold; integers of one byte could hold anything."""
_LONG = 12
"""Characters of a token from which on it is scanned: shorter ones hold no secret."""
_MAX_HEADER = 100 * 2**20


def safetensors_header(name: str, content: Content) -> dict[str, Any]:
    """The header of a safetensors file (https://huggingface.co/docs/safetensors): tensors and ``__metadata__``.

    Raises:
        UserError: if it is not one, or the tensors do not fill the file exactly.
    """
    if isinstance(content, bytes):
        size, head = len(content), content[:8]
        raw = content[8 : 8 + int.from_bytes(head, "little")]
    else:
        size = content.stat().st_size
        with content.open("rb") as file:
            head = file.read(8)
            raw = file.read(min(int.from_bytes(head, "little"), _MAX_HEADER))
    try:
        header = json.loads(raw)
        spans = sorted(
            (*entry["data_offsets"], entry["dtype"]) for key, entry in header.items() if key != "__metadata__"
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{name} is not a safetensors file, which its name promises: remove it") from None
    end = 0
    for start, stop, dtype in spans:
        if start != end or stop < start:
            raise UserError(f"{name} has data between its tensors: save the weights again")
        if dtype not in _DTYPES:
            raise UserError(f"{name} holds tensors of the type {dtype}, which are not published")
        end = stop
    if 8 + int.from_bytes(head, "little") + end != size:
        raise UserError(f"{name} is cut off or has data behind its tensors: save the weights again")
    return header


def safetensors_texts(name: str, content: Content) -> Iterator[Text]:
    """Tensor names and metadata of a safetensors file."""
    header = safetensors_header(name, content)
    metadata = header.pop("__metadata__", {})
    yield from (Text(f"{name}'s tensor names", key) for key in header)
    if not isinstance(metadata, dict):
        raise UserError(f"{name} has metadata that is not an object: save the weights again")
    yield from (Text(f"{name}'s metadata", f'"{key}": "{value}"', document=True) for key, value in metadata.items())


def tokenizer_texts(name: str, content: Content) -> Iterator[Text]:
    """A tokenizer.json: settings and added tokens as documents, long tokens of vocabulary and merges as data.

    Raises:
        UserError: if it is not JSON, or names code to load.
    """
    settings = Pairs()
    for key, value in read_json(name, content):
        if key == "model" and isinstance(value, Pairs):
            settings += [(inner, item) for inner, item in value if inner not in ("vocab", "merges")]
            yield from tokens_text(name, [item for inner, item in value if inner in ("vocab", "merges")])
        else:
            settings.append((key, value))
    yield from json_texts(name, json.dumps(_plain(settings), ensure_ascii=False).encode("utf-8", "replace"))


def vocabulary_texts(name: str, content: Content) -> Iterator[Text]:
    """vocab.json, vocab.txt or merges.txt: the long tokens."""
    if Path(name).suffix == ".json":
        yield from tokens_text(name, read_json(name, content))
    else:
        for text in document_texts(name, content):
            yield from tokens_text(name, text.text.split())


def sentencepiece_texts(name: str, content: Content) -> Iterator[Text]:
    """The pieces and settings of a SentencePiece model, a protocol buffer that has to parse completely.

    Raises:
        UserError: if it does not.
    """
    try:
        strings = list(_protobuf_strings(read_bytes(content)))
    except (ValueError, IndexError):
        raise UserError(f"{name} is not a SentencePiece model, which its name promises: remove it") from None
    yield from tokens_text(name, strings)


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


def _protobuf_strings(data: bytes, depth: int = 0) -> Iterator[str]:
    """Length-delimited fields of a message that are text, nested messages included."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            _, at = _varint(data, at)
        elif wire == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError
            field, at = data[at : at + length], at + length
            if depth == 0:
                yield from _protobuf_strings(field, depth + 1)
            else:
                yield field.decode("utf-8", "replace")
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
            if at > len(data):
                raise ValueError
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
