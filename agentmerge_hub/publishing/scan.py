"""Does a text hold something that must not leave this machine? Texts enter; where and what leave, never the secret itself.

The rules are those that redaction goes by when a dataset is built, here asked of every reading of a text. Added is what
only this machine knows: the very values of its own secrets, whatever they look like.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from agentmerge_hub.dataset.redaction import Allowed, find
from agentmerge_hub.dataset.secret_rules import KINDS
from agentmerge_hub.publishing.decoding import readings

_SECRET_NAME = re.compile(r"token|secret|passw|api_?key|access_?key|credential|_pwd$|_auth$", re.IGNORECASE)
_SHORTEST = 8
"""Characters; a shorter value would be found everywhere."""
_MOST_LINES = 1_000_000
"""Hashes of clean lines that are kept: some 60 MB."""


def own_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Values of environment variables that are named like a secret, and the Hub's token: value → what it is."""
    from huggingface_hub import get_token

    found = {
        value: f"the value of {name} on this machine"
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST and not Path(value).exists()
    }
    token = get_token()
    return found | ({token: "your Hugging Face token"} if token else {})


def scan(
    texts: Iterable[tuple[str, str]], own: Mapping[str, str], allowed: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str]]:
    """Pairs of where and what for every text that holds a secret in one of its readings, each pair once.

    Args:
        texts: pairs of where and text.
        own: this machine's secrets, value → what it is.
        allowed: kinds or values that may be published, with the reason.
    """
    allowed = Allowed(allowed or {})
    clean: set[int] = set()
    told: set[tuple[str, str]] = set()
    for where, text in texts:
        # Pages repeat their lines from step to step: a line that was found clean is not read again.
        lines = [line for line in dict.fromkeys(text.split("\n")) if hash(line) not in clean]
        found = list(dict.fromkeys(_found("\n".join(lines), own, allowed))) if lines else []
        if not found:
            if len(clean) > _MOST_LINES:
                clean.clear()
            clean.update(map(hash, lines))
        for what in found:
            if (where, what) not in told:
                told.add((where, what))
                yield where, what


def _found(text: str, own: Mapping[str, str], allowed: Allowed) -> Iterator[str]:
    for reading in readings(text):
        yield from (what for value, what in own.items() if value in reading)
        for finding in find(reading, allowed):
            yield f"{KINDS[finding.kind]} (sha256 {hashlib.sha256(finding.value.encode()).hexdigest()[:8]}…)"
