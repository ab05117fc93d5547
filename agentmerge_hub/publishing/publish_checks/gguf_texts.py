"""GGUF files → the texts in them: metadata, tensor names, long tokens, the chat template."""

import re
from collections.abc import Iterator
from pathlib import Path

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.gguf.header import read_header
from agentmerge_hub.publishing.publish_checks.encodings import texts_of_codes
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text
from agentmerge_hub.publishing.publish_checks.tokenizer_texts import tokens_text

_TOKENIZER_LISTS = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")


def gguf_texts(name: str, content: Content) -> Iterator[Text]:
    """Every text of a GGUF file.

    Raises:
        UserError: if it is damaged, or has metadata of other kinds than llama.cpp writes.
    """
    if not isinstance(content, Path):
        raise UserError(f"{name} is not a file on disk")
    header = read_header(name, content)
    known = re.compile(rf"(?:general|tokenizer|{re.escape(header.architecture)})\.[a-z0-9_.]+")
    for key, value in header.metadata.items():
        if not known.fullmatch(key) or key in header.number_arrays:
            raise UserError(f"{name} has the metadata {key[:80]!r}, which is not published: convert the model again")
        if key in _TOKENIZER_LISTS:
            yield from tokens_text(name, value)
        elif isinstance(value, str):
            yield Text(f"{name}'s metadata", f'"{key}": "{value}"', document=True)
        elif isinstance(value, list):
            texts = [item for item in value if isinstance(item, str)]
            yield from (Text(f"{name}'s metadata", f'"{key}": "{text}"', document=True) for text in texts)
    numbers = (value for value in header.metadata.values() if type(value) in (int, float))
    yield from (Text(f"{name}'s metadata", text) for text in texts_of_codes(numbers))
    yield from (Text(f"{name}'s tensor names", tensor) for tensor in header.tensors)
