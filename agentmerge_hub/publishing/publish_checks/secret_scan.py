"""Finds secrets and personal data in texts: texts → places and kinds. Never shows the secret itself.

Applies the rules of redaction to every decoding of a text, and searches for the values of this machine's own secrets and for
the names of its account, home folder and host.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.machine_names import find_machine_names
from agentmerge_hub.dataset.redaction.rules import KINDS
from agentmerge_hub.dataset.redaction.scanner import find_secrets
from agentmerge_hub.publishing.publish_checks.document_rules import document_findings
from agentmerge_hub.publishing.publish_checks.encodings import decodings
from agentmerge_hub.publishing.publish_checks.text_extraction import Text

_SECRET_NAME = re.compile(r"token|secret|passw|api_?key|access_?key|credential|_pwd$|_auth$", re.IGNORECASE)
_SHORTEST = 8
"""Characters; a shorter value would be found everywhere."""
_ALLOWED_BY = {"local paths": "home", "passwords": "credentials"}
"""Kind of a document finding → the kind of redaction that permits it."""
_MACHINE_NAMES = {
    "account": "the name of this machine's account",
    "home": "this machine's home folder",
    "host": "the name of this machine",
}
_MOST_LINES = 1_000_000
"""Hashes of clean lines kept in memory: about 60 MB."""


def local_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Values of environment variables with a secret's name, and the Hub token: value → description."""
    from huggingface_hub import get_token

    found = {
        value: f"the value of {name} on this machine"
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST and not Path(value).exists()
    }
    token = get_token()
    return found | ({token: "your Hugging Face token"} if token and len(token) >= _SHORTEST else {})


def scan(
    texts: Iterable[Text], local: Mapping[str, str], allowed: Mapping[str, str] | None = None
) -> Iterator[tuple[str, str]]:
    """Pairs of place and kind for every text with a secret in one of its decodings, each pair once.

    Args:
        texts: what is to be published.
        local: this machine's secrets, value → description.
        allowed: kinds or values that may be published, with the reason.
    """
    allowlist = Allowlist(allowed or {})
    clean: set[tuple[bool, int]] = set()
    reported: set[tuple[str, str]] = set()
    for text in texts:
        # Pages repeat their lines from step to step: a clean line is scanned once.
        keys = {line: (text.document, hash(line)) for line in text.text.split("\n")}
        lines = [line for line, key in keys.items() if key not in clean]
        found = list(dict.fromkeys(_found("\n".join(lines), text.document, local, allowlist))) if lines else []
        if not found:
            if len(clean) > _MOST_LINES:
                clean.clear()
            clean.update(keys.values())
        for what in found:
            if (text.where, what) not in reported:
                reported.add((text.where, what))
                yield text.where, what


def _found(text: str, document: bool, local: Mapping[str, str], allowed: Allowlist) -> Iterator[str]:
    for decoded in decodings(text):
        yield from (what for value, what in local.items() if value in decoded)
        for kind, name in find_machine_names(decoded):
            if kind not in allowed and name not in allowed:
                yield _described(_MACHINE_NAMES[kind], name)
        for finding in find_secrets(decoded, allowed):
            if not (document and finding.kind == "person"):  # documents name their authors and contacts on purpose
                yield _described(KINDS[finding.kind], finding.value)
        for kind, value in document_findings(decoded) if document else ():
            if value not in allowed and _ALLOWED_BY[kind] not in allowed:
                yield _described(kind, value)


def _described(kind: str, value: str) -> str:
    return f"{kind} (sha256 {hashlib.sha256(value.encode()).hexdigest()[:8]}…)"
