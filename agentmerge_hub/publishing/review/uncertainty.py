"""Places in a text that the scanners were unsure of: lines → spots, for a person to look at. Nothing is decided here."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agentmerge_hub.dataset.redaction.placeholders import is_harmless, placeholder_spans
from agentmerge_hub.dataset.redaction.prefilter import select_lines
from agentmerge_hub.dataset.redaction.rules.value_checks import entropy, looks_random

NEAR_MISS = "near-miss"
RANDOM = "random"
PLACEHOLDER = "replaced"

WEIGHTS = {NEAR_MISS: 3.0, RANDOM: 2.0, PLACEHOLDER: 1.0}
"""Kind → how much it adds to the chance that a row is drawn."""

_RANDOM = re.compile(r"(?<![\w+-])(?!(?:[0-9a-f]{32}_?)+(?![\w-]))[A-Za-z0-9+_-]{12,400}")
"""A long word; 32 hex digits are the id of a ServiceNow record."""
_RANDOM_BITS = 3.3
"""Bits per character."""
_RANDOM_CHANGES = 4
"""Changes between digits, small and capital letters; identifiers made of words, e.g. ``listMode2``, have fewer."""
_CHANGE = re.compile(r"(?<=[a-z])(?=[A-Z\d])|(?<=[A-Z])(?=\d)|(?<=\d)(?=[A-Za-z])|(?<=[A-Z]{2})(?=[a-z])")
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, order=True)
class Spot:
    """One place in a line."""

    start: int
    end: int
    kind: str


class SpotFinder:
    """Finds the spots of lines. Each distinct line is examined once, because pages repeat most of their lines."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Spot, ...]] = {}
        """Hash of a line → its spots; lines without a spot have an empty entry."""

    def find(self, lines: Iterable[str]) -> dict[str, tuple[Spot, ...]]:
        """The lines that have a spot, each with its spots in order and without overlaps."""
        distinct = list(dict.fromkeys(lines))
        unseen = [line for line in distinct if hash(line) not in self._known]
        for line, spots in zip(unseen, _spots_of(unseen)):
            self._known[hash(line)] = spots
        return {line: spots for line in distinct if (spots := self._known[hash(line)])}


def _spots_of(lines: list[str]) -> list[tuple[Spot, ...]]:
    found: dict[int, list[Spot]] = defaultdict(list)
    for number, rule, match in select_lines(lines).matches(lines) if lines else ():
        if rule.check and rule.literals:  # rules without literals take every long word: see _random_spots
            value = match[rule.group]
            if not is_harmless(value) and not rule.check(value):
                found[number].append(Spot(*match.span(rule.group), NEAR_MISS))
    return [
        _without_overlaps([*_placeholder_spots(line), *found[n], *_random_spots(line)]) for n, line in enumerate(lines)
    ]


def _placeholder_spots(line: str) -> list[Spot]:
    """Replaced values; one with letters or digits attached is a near miss, because a part of the value may be left."""
    spots = []
    for start, end in placeholder_spans(line):
        before, after = re.search(r"\w*$", line[:start]), re.match(r"\w*", line[end:])
        attached = (len(before[0]) if before else 0), (len(after[0]) if after else 0)
        spots.append(Spot(start - attached[0], end + attached[1], NEAR_MISS if any(attached) else PLACEHOLDER))
    return spots


def _random_spots(line: str) -> list[Spot]:
    return [
        Spot(*match.span(), RANDOM)
        for match in _RANDOM.finditer(_PERCENT.sub("   ", line))
        if looks_random(match[0])
        and entropy(match[0]) >= _RANDOM_BITS
        and len(_CHANGE.findall(match[0])) >= _RANDOM_CHANGES
        and not is_harmless(match[0])
    ]


def _without_overlaps(spots: list[Spot]) -> tuple[Spot, ...]:
    """The spots in order; of overlapping ones the first given."""
    kept: list[Spot] = []
    for spot in spots:
        if all(spot.end <= other.start or other.end <= spot.start for other in kept):
            kept.append(spot)
    return tuple(sorted(kept))


def score(found: Mapping[str, Iterable[Spot]]) -> float:
    """How unsure the scanners were of a text, from its lines and their spots: the weights of its distinct spots."""
    distinct = {(line[spot.start : spot.end], spot.kind) for line, spots in found.items() for spot in spots}
    return sum(WEIGHTS[kind] for _, kind in distinct)
