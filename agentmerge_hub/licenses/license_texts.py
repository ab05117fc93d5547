"""Recognizes the text of a license: a text is a copy only if it holds every word of a known text of that license.

A known text is stored as hashes of its consecutive chunks of words (`known_texts.json`), so that the texts themselves are not
shipped. Words are compared in lower case without punctuation, layout and web addresses. The chunks were made by `chunks_of` from
the license texts in the package scancode-toolkit-mini 32.5.0 (licensedcode/data/licenses). For `llama3` and `qwen-research` it
has no text, so that those are recognized by their clauses alone: short quotes from different sections of the license.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_CHUNK = 12
"""Words of a chunk."""
_ADDRESS = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)

_LLAMA = (
    "means the terms and conditions for use reproduction distribution and modification of the llama materials set forth herein",
    "you are granted a non exclusive worldwide non transferable and royalty free limited license under meta s intellectual property",
    "provide a copy of this agreement with any such llama materials",
    "you must retain in all copies of the llama materials that you distribute the following attribution notice",
    "adhere to the acceptable use policy for the llama materials",
    "is greater than 700 million monthly active users in the preceding calendar month",
    "in no event will meta or its affiliates be liable under any theory of liability",
    "neither meta nor licensee may use any name or mark owned by or associated with the other",
    "upon termination of this agreement you shall delete and cease use of the llama materials",
    "the courts of california shall have exclusive jurisdiction of any dispute arising out of this agreement",
)
_LLAMA_NAMED = (
    *_LLAMA,
    "prominently display built with llama on a related website",
    "at the beginning of any such ai model name",
)
_QWEN = (
    "by clicking to agree or by using or distributing any portion or element of the qwen materials",
    "shall mean a natural person or legal entity exercising the rights granted by this agreement",
    "the terms and conditions for use reproduction distribution and modification of the materials as defined by this agreement",
    "built with qwen or improved using qwen",
)

CLAUSES: dict[str, tuple[str, ...]] = {
    "llama3": (
        *_LLAMA,
        "meta llama 3 version release date april 18 2024",
        "prominently display built with meta llama 3 on a related website",
        "to improve any other large language model excluding meta llama 3 or derivative works thereof",
    ),
    "llama3.1": (*_LLAMA_NAMED, "llama 3 1 version release date july 23 2024", "licensed under the llama 3 1 community license"),
    "llama3.2": (*_LLAMA_NAMED, "llama 3 2 version release date september 25 2024", "licensed under the llama 3 2 community license"),
    "llama3.3": (*_LLAMA_NAMED, "llama 3 3 version release date december 6 2024", "licensed under the llama 3 3 community license"),
    "llama4": (*_LLAMA_NAMED, "llama 4 version effective date april 5 2025", "licensed under the llama 4 community license"),
    "gemma": (
        "gemma terms of use",
        "any portion or element of gemma",
        "you must include the use restrictions referenced in section 3 2 as an enforceable provision in any agreement",
        "you must provide all third party recipients of gemma or model derivatives a copy of this agreement",
        "you must cause any modified files to carry prominent notices stating that you modified the files",
        "must be accompanied by a notice text file that contains the following notice",
        "for the restricted uses set forth in the gemma prohibited use policy",
        "google reserves the right to restrict remotely or otherwise usage of any of the gemma services",
    ),
    "qwen": (*_QWEN, "qwen license agreement release date september 19 2024", "100 million monthly active users"),
    "qwen-research": (
        *_QWEN,
        "qwen research license agreement release date september 19 2024",
        "non commercial shall mean for research or evaluation purposes only",
    ),
}  # fmt: skip
"""License id → clauses. Every license that requires a copy of its text has an entry."""


def differences(license: str, text: str) -> list[str]:
    """What a text lacks to be a complete copy of a license, one clause each; empty for a complete copy.

    Args:
        license: a key of `CLAUSES`.
    """
    words = _words(text)
    joined = " ".join(words)
    if missing := [clause for clause in CLAUSES[license] if clause not in joined]:
        return [f"it lacks {clause!r}" for clause in missing]
    known = known_texts().get(license, [])
    missing_words = [missing_chunks(chunks, text) for chunks in known]
    if not known or not all(missing_words):
        return []
    return [f"it differs from the known text near word {number * _CHUNK + 1}" for number in min(missing_words, key=len)]


@cache
def known_texts() -> dict[str, list[list[str]]]:
    """License id → its known texts, each as `chunks_of`."""
    return json.loads(Path(__file__).with_name("known_texts.json").read_text(encoding="utf-8"))


def chunks_of(text: str) -> list[str]:
    """Hashes of consecutive chunks of words that cover a whole text."""
    words = _words(text)
    starts = [*range(0, len(words) - _CHUNK, _CHUNK), max(0, len(words) - _CHUNK)]
    return [_hash(words[start : start + _CHUNK]) for start in starts]


def missing_chunks(chunks: Sequence[str], text: str) -> list[int]:
    """Numbers of the chunks of a known text that a text does not hold."""
    words = _words(text)
    held = {_hash(words[start : start + _CHUNK]) for start in range(max(1, len(words) - _CHUNK + 1))}
    return [number for number, chunk in enumerate(chunks) if chunk not in held]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", _ADDRESS.sub(" ", text).casefold())


def _hash(words: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:8]
