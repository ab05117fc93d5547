"""Replace what must not be published, the same secret by the same placeholder, and scan files for what is left.

Texts and files enter; placeholders and findings leave. A placeholder keeps its kind of text (an address stays an
address), so that goal, page and answer still match. Its three hex digits tell the few values of an episode apart and
are too few to test a guess against.
"""

import bisect
import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.dataset.secret_rules import KINDS, PRIVATE_KEY, Rule, rules
from agentmerge_hub.errors import UserError

_PLACEHOLDER = re.compile(
    r"^(?:redacted-[a-z]+-[0-9a-f]{3}\b.*|user-[0-9a-f]{3}(?:@|%40)example\.com|instance\.example\.com|User [0-9a-f]{3}|user)$",
    re.DOTALL,
)

_OUR_DOMAINS = re.compile(r"(?:@|%40|\.)example\.(?:com|org|net)$", re.IGNORECASE)
"""Domains kept for documentation (RFC 2606)."""


@dataclass(frozen=True)
class Finding:
    """One secret in a text."""

    kind: str
    """A key of secret_rules.KINDS."""
    begin: int
    end: int
    value: str
    everywhere: bool = True


@dataclass(frozen=True)
class Located:
    """One secret in a file. The value itself is not shown, for messages end up in logs."""

    where: str
    kind: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.where}: {KINDS[self.kind]} (sha256 {self.sha256[:8]}…)"


class Allowed(dict[str, str]):
    """What is let through: a kind or a literal value → the reason, which the card shows."""

    def lets(self, finding: Finding) -> bool:
        return finding.kind in self or finding.value in self


def read_allowed(pairs: tuple[str, ...]) -> Allowed:
    """From ``WHAT=REASON`` of a command line.

    Raises:
        UserError: without a reason.
    """
    allowed = Allowed()
    for pair in pairs:
        what, _, reason = pair.partition("=")
        if not what or not reason.strip():
            raise UserError(
                f"--allow {pair}: write WHAT=REASON, where WHAT is {', '.join(KINDS)} or the text itself; the card shows the reason"
            )
        allowed[what] = reason.strip()
    return allowed


def find(text: str, allowed: Allowed | None = None) -> list[Finding]:
    """Every secret in a text, in order, without overlaps; placeholders are none."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters change their length
        lowered = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    found: dict[tuple[int, int], Finding] = {}
    for rule in rules():
        for match in _matches(rule, text, lowered):
            finding = Finding(rule.kind, *match.span(rule.group), match[rule.group], rule.everywhere)
            if not is_harmless(finding.value) and not (allowed and allowed.lets(finding)):
                found.setdefault((finding.begin, finding.end), finding)
    kept: list[Finding] = []
    for finding in sorted(found.values(), key=lambda finding: (finding.begin, -finding.end)):
        if not kept or finding.begin >= kept[-1].end:
            kept.append(finding)
    return kept


def _matches(rule: Rule, text: str, lowered: str) -> Iterator[re.Match[str]]:
    if not rule.literals:
        yield from rule.pattern.finditer(text)
        return
    haystack = lowered if rule.any_case else text
    for literal in rule.literals:
        at = haystack.find(literal)
        while at >= 0:
            behind = at + len(literal)
            limit = behind + rule.reach
            for match in rule.pattern.finditer(text, max(0, at - rule.before), limit):
                if match.end() == limit:  # what is searched ends within it: half a placeholder would be none
                    match = rule.pattern.match(text, match.start()) or match
                yield match
                behind = max(behind, match.end())
            at = haystack.find(literal, behind)


def is_harmless(value: str) -> bool:
    """Whether a value is a placeholder, or an address of a domain that is kept for documentation."""
    return bool(_PLACEHOLDER.match(value) or _OUR_DOMAINS.search(value))


def placeholder(kind: str, value: str) -> str:
    """What stands for a secret: equal for equal values, whatever their letter case."""
    digest = hashlib.sha256(f"{kind}\0{value.lower().replace('%40', '@')}".encode()).hexdigest()[:3]
    if kind == "email":
        return f"user-{digest}{'%40' if '%40' in value else '@'}example.com"
    return {"host": "instance.example.com", "home": "user", "account": f"User {digest}"}.get(
        kind, f"redacted-{kind}-{digest}"
    )


def redact(text: str, allowed: Allowed | None = None) -> str:
    """A text with every finding replaced."""
    if "PRIVATE KEY-----" in text:
        text = PRIVATE_KEY.sub(lambda key: placeholder("token", key[0]), text)
    for finding in reversed(find(text, allowed)):
        text = text[: finding.begin] + placeholder(finding.kind, finding.value) + text[finding.end :]
    return text


class Scanner:
    """Finds the secrets in lines of text; a line or a text that was found clean is not looked at again.

    Pages repeat their lines from step to step, so that most of a trace is read once.
    """

    def __init__(self, allowed: Allowed | None = None) -> None:
        self.allowed = allowed
        self._clean: set[int] = set()

    def findings(self, texts: Iterable[str]) -> list[tuple[str, Finding]]:
        """Lines with what was found in them; a line that stands in several texts comes once."""
        unseen = [text for text in texts if hash(text) not in self._clean]
        lines = [
            line
            for line in set(itertools.chain.from_iterable(text.split("\n") for text in unseen))
            if hash(line) not in self._clean
        ]
        if len(self._clean) > _MOST_LINES:
            self._clean.clear()
        ends = list(itertools.accumulate(len(line) + len(_BETWEEN) for line in lines))
        found = [
            (bisect.bisect_right(ends, finding.begin), finding) for finding in find(_BETWEEN.join(lines), self.allowed)
        ]
        dirty = {place for place, _ in found}
        self._clean.update(hash(line) for place, line in enumerate(lines) if place not in dirty)
        if not dirty:  # the configs of a dataset share their rows: whole texts come again
            self._clean.update(map(hash, unseen))
        return sorted(((lines[place], finding) for place, finding in found), key=lambda pair: (pair[0], pair[1].begin))


_BETWEEN = "\n\0\n"
"""What keeps lines apart that do not belong together: a rule that allows white space would read on in the next."""

_MOST_LINES = 1_000_000
"""Some 60 MB of hashes."""


def scan_file(path: Path, scanner: Scanner | None = None) -> Iterator[Located]:
    """Every secret in a Parquet or text file.

    Args:
        path: the file; a text is read as UTF-8.
        scanner: give the same one for several files that repeat their lines.
    """
    scanner = scanner or Scanner()
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            yield from scan_table(file.read_row_group(group), path.name, scanner)
    else:
        yield from _located([path.read_text(encoding="utf-8", errors="replace")], path.name, scanner)


def scan_table(table: pa.Table, where: str, scanner: Scanner) -> Iterator[Located]:
    """Every secret in the text columns of a table, nested ones too."""
    for name in table.column_names:
        for chunk in table[name].chunks:
            for texts in _string_arrays(chunk):
                values = texts.unique()
                for begin in range(0, len(values), 64):
                    together = [text for text in values.slice(begin, 64).to_pylist() if text]
                    yield from _located(together, f"{where}, column {name}", scanner)


def _located(texts: list[str], where: str, scanner: Scanner) -> Iterator[Located]:
    for _, finding in scanner.findings(texts):
        yield Located(where, finding.kind, hashlib.sha256(finding.value.encode()).hexdigest())


def _string_arrays(array: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        yield array
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        yield from _string_arrays(array.flatten())
    elif pa.types.is_struct(array.type):
        for inner in array.flatten():
            yield from _string_arrays(inner)
