"""Select the lines on which each rule runs: one pass of an Aho-Corasick automaton over the literals of all rules."""

import itertools
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from ahocorasick_rs import AhoCorasick, Implementation

from agentmerge_hub.dataset.redaction.credential_rules import DETECTOR_LITERALS
from agentmerge_hub.dataset.redaction.rules import DETECTED, RULES, Rule

_LONG_WORD = b"w" * 16
"""No token of a provider is shorter."""

_WORDS = bytes(
    ord("w") if chr(code).isascii() and (chr(code).isalnum() or chr(code) in "_+-") else 32 for code in range(256)
)
_DIGITS = bytes(ord("0") if 48 <= code <= 57 else code for code in range(256))

_TOKEN_LIKE = re.compile(r"(?![0-9a-f]{32}(?![\w+-]))(?=[a-z_+-]{0,40}[A-Z0-9])", re.ASCII)
"""A long word with a digit or a capital letter that is not the id of a ServiceNow record."""


@dataclass(frozen=True)
class SelectedLines:
    """Numbers of lines, in order."""

    by_rule: list[tuple[Rule, list[int]]]
    """In the order of RULES."""
    for_detector: list[int]


def select_lines(lines: list[str]) -> SelectedLines:
    """The lines on which each rule, and the scanner, has to run."""
    text = "\n".join(lines)
    data = text.encode("latin-1", "replace")  # one byte per character: positions stay the same
    ends = np.fromiter(itertools.accumulate(len(line) + 1 for line in lines), np.int64, len(lines))
    numbers: dict[Rule, set[int]] = defaultdict(set)
    for digits, haystack in ((False, _lowered(text)), (True, data.translate(_DIGITS).decode("latin-1"))):
        automaton, rules_of = _automaton(digits)
        matches = automaton.find_matches_as_indexes(haystack, overlapping=True)
        literals, starts, _ = zip(*matches) if matches else ((), (), ())
        places = np.searchsorted(ends, np.array(starts, np.int64), "right")
        for literal, number in set(zip(literals, places.tolist())):
            for rule in rules_of[literal]:
                numbers[rule].add(number)
    for_detector = numbers.pop(DETECTED, set()) | set(_lines_with_token_like_word(text, data, ends.tolist()))
    return SelectedLines(
        [(rule, sorted(numbers[rule] if rule.literals else for_detector)) for rule in RULES], sorted(for_detector)
    )


def _lines_with_token_like_word(text: str, data: bytes, ends: list[int]) -> Iterator[int]:
    """Numbers of the lines with a long word that may be a token.

    Args:
        data: the text, one byte per character.
        ends: end of each line, its line break included.
    """
    words = data.translate(_WORDS) + b" "
    start = words.find(_LONG_WORD)
    while start >= 0:
        if _TOKEN_LIKE.match(text, start):
            number = bisect_right(ends, start)
            yield number
            after = ends[number]
        else:
            after = words.find(b" ", start)
        start = words.find(_LONG_WORD, after)


@cache
def _automaton(digits: bool) -> tuple[AhoCorasick, list[list[Rule]]]:
    """Finds literals in lower case, or digit rules' literals; and the rules of each literal."""
    rules_of: dict[str, list[Rule]] = defaultdict(list)
    for rule in RULES:
        if rule.digits == digits:
            for literal in rule.literals:
                rules_of[literal if digits else literal.lower()].append(rule)
    for literal in () if digits else DETECTOR_LITERALS:
        rules_of[literal].append(DETECTED)
    return AhoCorasick(list(rules_of), implementation=Implementation.DFA), list(rules_of.values())


def _lowered(text: str) -> str:
    """The text in lower case and of the same length: a few letters would change it."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)
