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

from agentmerge_hub.dataset.redaction.rules import DETECTED, RULES, Rule
from agentmerge_hub.dataset.redaction.rules.credentials import DETECTOR_LITERALS

_LONG_WORD = b"w" * 16
"""No token of a provider is shorter."""

_WORDS = bytes(
    ord("w") if chr(code).isascii() and (chr(code).isalnum() or chr(code) in "_+-") else 32 for code in range(256)
)
_DIGITS = bytes(ord("0") if 48 <= code <= 57 else code for code in range(256))

_TOKEN_LIKE = re.compile(r"(?![0-9a-f]{32}(?![\w+-]))(?=[a-z_+-]{0,40}[A-Z0-9])", re.ASCII)
"""A long word with a digit or a capital letter that is not the id of a ServiceNow record."""


_MAY_END_A_WORD = 7
"""Letters from which on a label counts also as the end of another word: ``Datenbankpasswort``, but not ``enclave``."""
_LAST_LATIN = "\u024f"
_AFTER_LABEL = " :='\"._-(#|<*]"
"""Characters after a short label. Searched together with it, because ``tin`` alone is in ``setting`` and many more words."""


@dataclass(frozen=True)
class SelectedLines:
    """Numbers of lines, in order."""

    by_rule: list[tuple[Rule, list[int]]]
    """In the order of RULES, with the lines that a rule is searched in."""
    after_labels: dict[Rule, list[tuple[int, int]]]
    """Number of the line and end of the label, for rules that run after a label."""
    for_detector: list[int]

    def matches(self, lines: list[str]) -> Iterator[tuple[int, Rule, re.Match[str]]]:
        """Every match of a rule, with the number of its line; the rule's check is not applied."""
        for rule, numbers in self.by_rule:
            for number in numbers:
                if rule.hint is None or rule.hint.search(lines[number]):
                    for match in rule.pattern.finditer(lines[number]):
                        yield number, rule, match
            for number, end in self.after_labels.get(rule, ()):
                if after := rule.pattern.match(lines[number], end):
                    yield number, rule, after


def select_lines(lines: list[str]) -> SelectedLines:
    """The lines on which each rule, and the scanner, has to run."""
    text = "\n".join(lines)
    data = text.encode("latin-1", "replace")  # one byte per character: positions stay the same
    ends = np.fromiter(itertools.accumulate(len(line) + 1 for line in lines), np.int64, len(lines))
    numbers: dict[Rule, set[int]] = defaultdict(set)
    after_labels: dict[Rule, set[tuple[int, int]]] = defaultdict(set)
    for digits, haystack in ((False, _lowered(text)), (True, data.translate(_DIGITS).decode("latin-1"))):
        index = _index(digits)
        matches = index.automaton.find_matches_as_indexes(haystack, overlapping=True)
        literals, starts, stops = zip(*matches) if matches else ((), (), ())
        places = np.searchsorted(ends, np.array(starts, np.int64), "right").tolist()
        for literal, number in set(zip(literals, places)):
            for rule in index.rules[literal]:
                numbers[rule].add(number)
        for match in np.flatnonzero(index.is_label[np.array(literals, np.int64)]).tolist():
            number, start, stop = places[match], starts[match], stops[match]
            for label, rule in index.labels[literals[match]]:
                end = stop - _is_short(label)
                if end == stop or (
                    not _is_latin_letter(text[start - 1 : start]) and (label.islower() or text[start:end] == label)
                ):
                    after_labels[rule].add((number, end - (int(ends[number - 1]) if number else 0)))
    for_detector = sorted({*numbers.pop(DETECTED, ()), *_lines_with_token_like_word(text, data, ends.tolist())})
    return SelectedLines(
        [(rule, sorted(numbers[rule]) if rule.literals else for_detector) for rule in RULES],
        {rule: sorted(places) for rule, places in after_labels.items()},
        for_detector,
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


@dataclass(frozen=True)
class _LiteralIndex:
    """An automaton over literals, and the rules that each literal selects."""

    automaton: AhoCorasick
    rules: list[list[Rule]]
    """Rules that are searched in the line."""
    labels: list[list[tuple[str, Rule]]]
    """Labels and the rules that run after them."""
    is_label: np.ndarray


@cache
def _index(digits: bool) -> _LiteralIndex:
    """Finds literals in lower case, or digit rules' literals."""
    rules: dict[str, list[Rule]] = defaultdict(list)
    labels: dict[str, list[tuple[str, Rule]]] = defaultdict(list)
    for rule in RULES:
        for literal in rule.literals if rule.digits == digits else ():
            key = literal if digits else literal.lower()
            if not rule.after_label:
                rules[key].append(rule)
            for character in (_AFTER_LABEL if _is_short(key) else ("",)) if rule.after_label else ():
                labels[key + character].append((literal, rule))
    for literal in () if digits else DETECTOR_LITERALS:
        rules[literal].append(DETECTED)
    literals = list({**rules, **labels})
    return _LiteralIndex(
        AhoCorasick(literals, implementation=Implementation.DFA),
        [rules[literal] for literal in literals],
        [labels[literal] for literal in literals],
        np.array([literal in labels for literal in literals]),
    )


def _is_short(label: str) -> bool:
    return len(label) < _MAY_END_A_WORD and label[0] <= _LAST_LATIN


def _is_latin_letter(character: str) -> bool:
    return character.isalpha() and character <= _LAST_LATIN


def _lowered(text: str) -> str:
    """The text in lower case and of the same length, which the Turkish İ would change."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "\n".join(map(_lowered_line, text.split("\n")))  # one line must not change what is found in the others


def _lowered_line(line: str) -> str:
    lowered = line.lower()
    return lowered if len(lowered) == len(line) else "".join(letter.lower()[0] for letter in line)
