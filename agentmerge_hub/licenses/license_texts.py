"""Recognizes the text of a license: a file is a copy only if it is a known text of that license, word for word.

A known text is stored as the number of its words and hashes of their consecutive chunks (`known_texts.json`), so that the texts
themselves are not shipped. Words are compared in lower case without punctuation, layout and web addresses; lines that only name
the holders of a copyright may be added or left out, and so may the title of the MIT, BSD and ISC licenses and the appendix of
the Apache License. The chunks were made by `known_text` from the license texts in the package scancode-toolkit-mini 32.5.0
(licensedcode/data/licenses). For `llama3` and `qwen-research` it has no text, so that those are recognized by their clauses
alone: short quotes from different sections of the license.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

_CHUNK = 12
"""Words of a chunk."""
_ALTERED = 0.5
"""Share of a known text's chunks from which on a file is an altered copy of it, and no other license."""
_HOLDER = r"(?:\[yyyy\]|<year>|\d{4})(?:\s*[-–,]\s*(?:\d{4}|present))*,?\s+(?!.*\b(?:may|must|shall|not|only|licen[cs]\w*|use|permi\w*|terms)\b)[^;:\n]{1,80}"
_COPYRIGHT = re.compile(
    rf"^[ \t>#*]*(?:copyright\s*(?:\(c\)|©)?|©|\(c\))\s*{_HOLDER}$(?:\s*^[ \t>#*]*all rights reserved\.?[ \t]*$)?",
    re.IGNORECASE | re.MULTILINE,
)
"""A line that names a year and a holder, with the words All rights reserved behind it or on the next line."""
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


class KnownText(NamedTuple):
    """A text of a license: the number of its words, and hashes of consecutive chunks that cover them."""

    words: int
    chunks: list[str]


def differences(license: str, text: str) -> list[str]:
    """What distinguishes a text from a complete copy of a license, one clause each; empty for a complete copy.

    Args:
        license: a key of `CLAUSES` or of `known_texts`.
    """
    joined = " ".join(_words(text))
    if missing := [clause for clause in CLAUSES.get(license, ()) if clause not in joined]:
        return [f"it lacks {clause!r}" for clause in missing]
    known = known_texts().get(license)
    if not known:
        return [] if license in CLAUSES else ["no text of it is known here"]
    places = {_difference(one, words): words for one in known for words in _variants(text)}
    place = max(places, key=lambda place: float("inf") if place is None else place)
    if place is None:
        return []
    shown = " ".join(places[place][place : place + 6]) or "the end of the file"
    return [f"it differs from the known text near word {place + 1}, {shown!r}"]


def identify(text: str) -> tuple[str, bool] | None:
    """(license id, whether the text is a complete copy) of the license that a text is or alters; None for no known license."""
    for license in [*known_texts(), *CLAUSES]:
        if not differences(license, text):
            return license, True
    held = {_hash(words[start : start + _CHUNK]) for words in _variants(text) for start in range(len(words))}
    shares = {
        license: max(sum(chunk in held for chunk in one.chunks) / len(one.chunks) for one in known)
        for license, known in known_texts().items()
    }
    closest = max(shares, key=lambda license: shares[license])
    return (closest, False) if shares[closest] >= _ALTERED else None


@cache
def known_texts() -> Mapping[str, list[KnownText]]:
    """License id → its known texts."""
    content = json.loads(Path(__file__).with_name("known_texts.json").read_text(encoding="utf-8"))
    return {license: [KnownText(*known) for known in texts] for license, texts in content.items()}


def known_text(text: str) -> KnownText:
    """A text as `known_texts` holds it."""
    words = _words(text)
    return KnownText(len(words), _chunks(words))


def _difference(known: KnownText, words: Sequence[str]) -> int | None:
    """Number of the first word of the first chunk that differs from a known text; None if all words are equal."""
    chunks = _chunks(words[: known.words])
    for number, (ours, theirs) in enumerate(zip(chunks, known.chunks)):
        if ours != theirs:
            return min(number * _CHUNK, len(words))
    return None if len(words) == known.words else min(len(words), known.words)


def _variants(text: str) -> list[list[str]]:
    """The words of a text, with and without the lines that name holders of a copyright."""
    return [_words(text), _words(_COPYRIGHT.sub("", text))]


def _chunks(words: Sequence[str]) -> list[str]:
    starts = [*range(0, len(words) - _CHUNK, _CHUNK), max(0, len(words) - _CHUNK)]
    return [_hash(words[start : start + _CHUNK]) for start in starts]


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", _ADDRESS.sub(" ", text).casefold())


def _hash(words: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:8]
