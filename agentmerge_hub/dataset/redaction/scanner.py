"""Find secrets in texts and replace them. No file is read here."""

import bisect
import itertools
import re
from collections.abc import Iterable, Iterator

from agentmerge_hub.dataset.redaction.finding import Allowlist, Finding
from agentmerge_hub.dataset.redaction.placeholders import is_harmless, placeholder
from agentmerge_hub.dataset.redaction.rules import PRIVATE_KEY, Rule, rules

_SEPARATOR = "\n\0\n"
"""Separates lines that are scanned together, so that no rule matches across two of them."""

_MAX_CLEAN = 1_000_000
"""Hashes kept of lines without a secret: about 60 MB."""


def find_secrets(text: str, allowlist: Allowlist | None = None) -> list[Finding]:
    """Every secret in a text, in order, without overlaps. Placeholders are no secrets."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters change their length
        lowered = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    found: dict[tuple[int, int], Finding] = {}
    for rule in rules():
        for match in _matches(rule, text, lowered):
            finding = Finding(rule.kind, *match.span(rule.group), match[rule.group], rule.everywhere)
            if not is_harmless(finding.value) and not (allowlist and allowlist.permits(finding)):
                found.setdefault((finding.start, finding.end), finding)
    kept: list[Finding] = []
    for finding in sorted(found.values(), key=lambda finding: (finding.start, -finding.end)):
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
    return kept


def _matches(rule: Rule, text: str, lowered: str) -> Iterator[re.Match[str]]:
    if not rule.literals:
        yield from rule.pattern.finditer(text)
        return
    haystack = lowered if rule.any_case else text
    for literal in rule.literals:
        position = haystack.find(literal)
        while position >= 0:
            after = position + len(literal)
            limit = after + rule.reach
            for match in rule.pattern.finditer(text, max(0, position - rule.before), limit):
                if match.end() == limit:  # the search ended inside the match: half a placeholder is no placeholder
                    match = rule.pattern.match(text, match.start()) or match
                yield match
                after = max(after, match.end())
            position = haystack.find(literal, after)


def redact_text(text: str, allowlist: Allowlist | None = None) -> str:
    """A text with every finding replaced."""
    if "PRIVATE KEY-----" in text:
        text = PRIVATE_KEY.sub(lambda key: placeholder("token", key[0]), text)
    for finding in reversed(find_secrets(text, allowlist)):
        text = text[: finding.start] + placeholder(finding.kind, finding.value) + text[finding.end :]
    return text


class LineScanner:
    """Finds secrets in lines of text. A line without a secret is scanned once: pages repeat most of their lines."""

    def __init__(self, allowlist: Allowlist | None = None) -> None:
        self.allowlist = allowlist
        self._clean: set[int] = set()

    def scan(self, texts: Iterable[str]) -> list[tuple[str, Finding]]:
        """Pairs of line and finding, sorted by line; a line that several texts hold is reported once."""
        unseen = [text for text in texts if hash(text) not in self._clean]
        lines = [
            line
            for line in dict.fromkeys(itertools.chain.from_iterable(text.split("\n") for text in unseen))
            if hash(line) not in self._clean
        ]
        if len(self._clean) > _MAX_CLEAN:
            self._clean.clear()
        ends = list(itertools.accumulate(len(line) + len(_SEPARATOR) for line in lines))
        findings = [
            (bisect.bisect_right(ends, finding.start), finding)
            for finding in find_secrets(_SEPARATOR.join(lines), self.allowlist)
        ]
        dirty = {index for index, _ in findings}
        self._clean.update(hash(line) for index, line in enumerate(lines) if index not in dirty)
        if not dirty:  # the configs of a dataset share their rows, so whole texts repeat
            self._clean.update(map(hash, unseen))
        return sorted(
            ((lines[index], finding) for index, finding in findings), key=lambda pair: (pair[0], pair[1].start)
        )
