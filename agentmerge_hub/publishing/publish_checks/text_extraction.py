"""Files → their texts, for the checks of secrets. A file whose content does not match its name is refused.

Each extractor reads one type of file completely; what it cannot read is not published.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.encodings import texts_in_bytes, texts_of_codes

Content = Path | bytes

LONG_NUMBER = 10**6
"""Numbers from which on one may be a phone number or the like."""

_CODE_KEYS = ("auto_map", "custom_pipelines")
"""JSON keys by which transformers and diffusers load Python code from a repository."""
_TEMPLATE_KEYS = ("chat_template", "template")
_PYTHON_OBJECT = re.compile(
    r"(?:\.\s*|\[\s*['\"]|attr\(\s*['\"])__\w+__|\\x5f|\\u005f|\|\s*attr\b|['\"]__|__['\"]", re.IGNORECASE
)


@dataclass(frozen=True)
class Text:
    """One text of a file."""

    where: str
    """Where in which file it is, for a message."""
    text: str
    document: bool = False
    """True for prose and settings, which hold no recorded pages: local paths and passwords are refused there."""


def read_bytes(content: Content) -> bytes:
    """The content of a file to publish."""
    return content if isinstance(content, bytes) else content.read_bytes()


def document_texts(name: str, content: Content) -> Iterator[Text]:
    """The text of a Markdown, license, template or plain text file.

    Raises:
        UserError: if it is not UTF-8 text.
    """
    yield Text(name, _utf8(name, content), document=True)


def json_texts(name: str, content: Content) -> Iterator[Text]:
    """Every key and string of a JSON file, each pair as one line.

    Raises:
        UserError: if it is not a JSON object, or names code to load.
    """
    value = read_json(name, content)
    if not isinstance(value, Pairs):
        raise UserError(f"{name} is not a JSON object: remove it")
    yield from value_texts(name, value)


def value_texts(name: str, value: Any) -> Iterator[Text]:
    """Every key, string and long number of a JSON or YAML value, and texts that it spells out character by character."""
    yield from (Text(name, line, document=True) for line in _lines(value, name))
    yield from (Text(name, text, document=True) for text in texts_of_codes(_codes(value)))


def yaml_texts(name: str, content: Content) -> Iterator[Text]:
    """A YAML file as text, and its keys and strings.

    Raises:
        UserError: if it is not plain YAML.
    """
    text = _utf8(name, content)
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"{name} is not plain YAML: {' '.join(str(error).split())[:150]}") from error
    if not isinstance(value, dict | list):
        raise UserError(f"{name} is not YAML with keys and values, which its name promises: remove it")
    yield Text(name, text, document=True)
    yield from value_texts(name, value)


def check_no_python(name: str, template: str) -> None:
    """Raise UserError for a chat template that reads attributes of Python objects, e.g. ``x.__class__``."""
    if _PYTHON_OBJECT.search(template):
        raise UserError(
            f"{name} has a chat template that reads attributes of Python objects (`__…__`, `attr`): remove them"
        )


def read_json(name: str, content: Content) -> Any:
    """A JSON value; objects are lists of (key, value) pairs, so that no duplicate key is lost.

    Raises:
        UserError: if it is not JSON.
    """
    try:
        return json.loads(_utf8(name, content), object_pairs_hook=Pairs)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is not JSON: {' '.join(str(error).split())[:150]}") from error


class Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs."""


def _utf8(name: str, content: Content) -> str:
    try:
        text = read_bytes(content).decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{name} is not UTF-8 text, which its name promises: remove it") from None
    if any(letter < " " and letter not in "\t\n\r\f" for letter in text):
        raise UserError(f"{name} holds control characters: remove them")
    return text


def _lines(value: Any, name: str, key: str = "") -> Iterator[str]:
    """Lines ``"key": "value"`` for every string, number keys and nested values included."""
    if isinstance(value, Pairs | dict):
        for inner, item in value.items() if isinstance(value, dict) else value:
            if inner in _CODE_KEYS and item:
                raise UserError(f"{name} loads remote code ({inner}): publish a model that transformers includes")
            if inner in _TEMPLATE_KEYS and isinstance(item, str):
                check_no_python(name, item)
            if not isinstance(item, str):
                yield str(inner)
            yield from _lines(item, name, str(inner))
    elif isinstance(value, list | set):
        for item in value:
            yield from _lines(item, name, key)
    elif isinstance(value, bytes):  # YAML's !!binary
        for text in texts_in_bytes(value):
            yield from _lines(text, name, key)
    elif isinstance(value, str) or (type(value) in (int, float) and abs(value) >= LONG_NUMBER):
        yield f'"{key}": "{value}"' if key else str(value)


def _codes(value: Any) -> Iterator[float]:
    """Numbers that may be the codes of characters, in the order of the file: also in strings, and single characters."""
    if isinstance(value, Pairs | dict):
        value = [item for _, item in (value.items() if isinstance(value, dict) else value)]
    if isinstance(value, list):
        for item in value:
            yield from _codes(item)
    elif type(value) in (int, float):
        yield value if math.isfinite(value) else 0
    elif isinstance(value, str):
        yield (
            ord(value)
            if len(value) == 1
            else int(value)
            if value.isascii() and value.isdigit() and len(value) < 4
            else 0
        )
