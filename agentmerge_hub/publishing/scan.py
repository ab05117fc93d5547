"""Does a text hold something that must not leave this machine? Rules and texts enter; rule names leave, never a secret.

The dataset room's rules are asked first (credentials, tokens, instance hosts, e-mail addresses). Added here is what only
matters at the door: paths with a user's name, and the very values of this machine's secrets, whatever they look like.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from agentmerge_hub.publishing.decoding import readings

_HOME = re.compile(
    r"(?:(?<![\w/.%-])|(?<=file://))(?:/home/|/Users/|[A-Za-z]:\\+Users\\+)(?!(?:user|username|runner|shared)\b)[\w.-]+",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"token|secret|passw|api_?key|access_?key|credential|_pwd$|_auth$", re.IGNORECASE)
_SHORTEST = 8
"""Characters; a shorter value would be found everywhere."""


def own_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Values of environment variables that are named like a secret, and the Hub's token: value → what it is."""
    from huggingface_hub import get_token

    found = {
        value: f"the value of {name}"
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST and not Path(value).exists()
    }
    token = get_token()
    return found | ({token: "your Hugging Face token"} if token else {})


def scan(texts: Iterable[tuple[str, str]], own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Pairs of where and what for every text that holds a secret in any of its readings, each pair once."""
    seen: set[int] = set()
    told: set[tuple[str, str]] = set()
    for where, text in texts:
        for reading in readings(text):
            for line in reading.split("\n"):
                # Pages repeat their lines thousands of times over; a line without a finding is not read again.
                if (key := hash(line)) in seen:
                    continue
                found = set(_in_line(line, own))
                if not found:
                    seen.add(key)
                for what in found - {what for place, what in told if place == where}:
                    told.add((where, what))
                    yield where, what


def _in_line(line: str, own: Mapping[str, str]) -> Iterator[str]:
    for value, what in own.items():
        if value in line:
            yield what
    if _HOME.search(line):
        yield "a path with a user's name"
