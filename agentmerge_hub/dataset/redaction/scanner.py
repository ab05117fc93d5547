"""Find secrets in texts and replace them. No file is read here.

Each line is scanned alone, as it is and without its escapes: the same line gives the same findings in every text.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from agentmerge_hub.dataset.redaction.detector import detect
from agentmerge_hub.dataset.redaction.encoded import encoded_texts
from agentmerge_hub.dataset.redaction.escapes import DecodedLine, decode_line
from agentmerge_hub.dataset.redaction.finding import Allowlist, Finding
from agentmerge_hub.dataset.redaction.placeholders import is_harmless, placeholder
from agentmerge_hub.dataset.redaction.prefilter import select_lines
from agentmerge_hub.dataset.redaction.private_keys import may_hold_key, private_key_spans
from agentmerge_hub.dataset.redaction.rules import DETECTED, Rule

MAX_ROUNDS = 3
"""A replaced line is scanned again: what surrounds a placeholder can match another rule."""

_MAX_CLEAN = 1_000_000
"""Hashes kept of lines without a secret: about 60 MB."""
_MAX_DIRTY_CHARACTERS = 4_000_000
"""Characters kept of lines with a secret."""


def find_secrets(text: str, allowlist: Allowlist | None = None) -> list[Finding]:
    """Every secret in a text, in order, without overlaps. Placeholders are no secrets."""
    findings = (
        [Finding("token", start, end, text[start:end]) for start, end in private_key_spans(text)]
        if may_hold_key(text)
        else []
    )
    lines = text.split("\n")
    starts = itertools.accumulate((len(line) + 1 for line in lines), initial=0)
    for start, in_line in zip(starts, scan_lines(lines, allowlist)):
        findings += [replace(found, start=found.start + start, end=found.end + start) for found in in_line]
    return _without_overlaps(text, [found for found in findings if not (allowlist and allowlist.permits(found))])


def redact_text(text: str, allowlist: Allowlist | None = None) -> str:
    """A text with every finding replaced."""
    for _ in range(MAX_ROUNDS):
        findings = find_secrets(text, allowlist)
        if not findings:
            break
        text = replace_findings(text, findings)
    return text


def replace_findings(text: str, findings: Iterable[Finding]) -> str:
    """A text with the findings, which must not overlap, replaced by their placeholders."""
    segments, position = [], 0
    for found in findings:
        segments += [text[position : found.start], placeholder(found.kind, found.value, text[found.start : found.end])]
        position = found.end
    return "".join([*segments, text[position:]])


class LineScanner:
    """Finds secrets in lines of text. A line is scanned once: pages repeat most of their lines."""

    def __init__(self, allowlist: Allowlist | None = None) -> None:
        self.allowlist = allowlist
        self._clean: set[int] = set()
        self._dirty: dict[str, list[Finding]] = {}
        self._dirty_characters = 0

    def scan(self, texts: Iterable[str]) -> dict[str, list[Finding]]:
        """The lines of the texts that hold a secret, each with its findings; private keys are found by find_secrets."""
        return self.scan_split({text: text.split("\n") for text in texts if hash(text) not in self._clean})

    def scan_split(self, texts: Mapping[str, list[str]]) -> dict[str, list[Finding]]:
        """As scan, for texts that are split already: text → its lines."""
        unseen = [text for text in texts if hash(text) not in self._clean]
        distinct = dict.fromkeys(itertools.chain.from_iterable(texts[text] for text in unseen))
        unclean = [line for line in distinct if hash(line) not in self._clean]
        dirty = {line: self._dirty[line] for line in unclean if line in self._dirty}
        lines = [line for line in unclean if line not in dirty]
        new = {line: found for line, found in zip(lines, scan_lines(lines, self.allowlist)) if found}
        if len(self._clean) > _MAX_CLEAN:
            self._clean.clear()
        self._clean.update(hash(line) for line in lines if line not in new)
        self._remember(new)
        dirty |= new
        if not dirty:  # the configs of a dataset share their rows, so whole texts repeat
            self._clean.update(hash(text) for text in unseen if not may_hold_key(text))
        return dirty

    def _remember(self, dirty: dict[str, list[Finding]]) -> None:
        for line, found in dirty.items():
            if self._dirty_characters > _MAX_DIRTY_CHARACTERS:
                self._dirty.clear()
                self._dirty_characters = 0
            self._dirty[line] = found
            self._dirty_characters += len(line) + sum(len(one.value) for one in found)


def scan_lines(lines: Sequence[str], allowlist: Allowlist | None = None) -> list[list[Finding]]:
    """The findings of each line, in order and without overlaps."""
    findings: list[list[Finding]] = [[] for _ in lines]
    texts = list(lines)
    decoded_lines: list[tuple[int, DecodedLine]] = []
    for number, line in enumerate(lines):
        if view := decode_line(line):
            decoded_lines.append((number, view))
            texts.append(view.text)
    for text, rule, start, end in _matches(texts, {number for number, _ in decoded_lines}, allowlist):
        value = texts[text][start:end]
        if rule.check and not rule.check(value):
            continue
        number = text
        if text >= len(lines):
            number, decoded = decoded_lines[text - len(lines)]
            start, end = decoded.original_span(start, end)
        elif other := decode_line(value):
            value = other.text
        found = Finding(rule.kind, start, end, value, rule.everywhere)
        if not is_harmless(value) and not (allowlist and allowlist.permits(found)):
            findings[number].append(found)
    return [_without_overlaps(line, found) if found else found for line, found in zip(lines, findings)]


def _matches(
    texts: list[str], with_escapes: set[int], allowlist: Allowlist | None
) -> Iterator[tuple[int, Rule, int, int]]:
    """Number of the text, rule, start and end of each match. A text is a line or a line without its escapes.

    Args:
        with_escapes: numbers of the texts that the scanner's rules run on in their other form, without escapes.
        allowlist: permits secrets in encoded texts.
    """
    selected = select_lines(texts)
    for number, rule, match in selected.matches(texts):
        for start, end in rule.values(match) if rule.values else (match.span(rule.group),):
            yield number, rule, start, end
    for number in selected.for_detector:
        if number not in with_escapes:
            for start, end in detect(texts[number]):
                yield number, DETECTED, start, end
        for start, end, text in encoded_texts(texts[number]):
            if any(scan_lines(text.split("\n"), allowlist)):
                yield number, DETECTED, start, end


def _without_overlaps(text: str, findings: list[Finding]) -> list[Finding]:
    """The findings in order; overlapping ones become one, of the first one's kind, that covers both."""
    by_start: dict[int, list[Finding]] = defaultdict(list)
    for found in findings:
        by_start[found.start].append(found)
    kept: list[Finding] = []
    for start in sorted(by_start):
        for found in sorted(by_start[start], key=lambda found: -found.end):  # stable: rules in order of precedence
            last = kept[-1] if kept else None
            if last is None or found.start >= last.end:
                kept.append(found)
            elif found.end > last.end and not (found.kind == "email" and last.kind == "credentials"):
                value = text[last.start : found.end]
                decoded = decode_line(value)
                kept[-1] = replace(last, end=found.end, value=decoded.text if decoded else value)
    return kept
