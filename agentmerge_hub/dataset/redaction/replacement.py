"""Replace secrets in texts that belong together, the fields of one episode: found in one text, replaced in all."""

import itertools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from agentmerge_hub.dataset.redaction.escapes import decode_line
from agentmerge_hub.dataset.redaction.finding import Finding
from agentmerge_hub.dataset.redaction.private_keys import may_hold_key, private_key_spans
from agentmerge_hub.dataset.redaction.rules.labeled import values_below_labels
from agentmerge_hub.dataset.redaction.rules.persons import signed_names
from agentmerge_hub.dataset.redaction.scanner import MAX_ROUNDS, LineScanner, find_secrets, replace_findings

_ALWAYS_DISTINCTIVE = ("email", "host", "account", "person", "phone", "number")


class Replacer:
    """Replaces the secrets of some texts. Each distinct line is processed once, because pages repeat most of their lines."""

    def __init__(self, texts: Iterable[str], scanner: LineScanner, known: Mapping[str, str] | None = None) -> None:
        """
        Args:
            texts: the texts that belong together.
            scanner: finds the secrets, and holds the allowlist.
            known: secrets that no rule has to recognize, value → kind.
        """
        self._scanner = scanner
        texts = list(dict.fromkeys(texts))
        self._split = {text: text.split("\n") for text in texts}
        found = scanner.scan_split(self._split)
        known = dict(known or {})
        self.secrets = {(kind, value) for value, kind in known.items() if any(value in text for text in texts)}
        for text in texts:
            across_lines = [("person", name) for name in signed_names(text)]
            across_lines += [("credentials", value) for value in values_below_labels(text)]
            for kind, value in across_lines:
                if not (scanner.allowlist and scanner.allowlist.permits(Finding(kind, 0, len(value), value))):
                    self.secrets.add((kind, value))
                    known.setdefault(value, kind)
            if may_hold_key(text):
                self.secrets |= {("token", text[start:end]) for start, end in private_key_spans(text)}
        for line in sorted(found):
            for finding in found[line]:
                self.secrets.add((finding.kind, finding.value))
                if _is_distinctive(finding):
                    known.setdefault(finding.value, finding.kind)
                if finding.kind == "host" and (name := _instance_name(finding.value)):
                    known.setdefault(name, "host")
                if finding.kind in ("account", "person") and " " in finding.value:
                    known.setdefault(finding.value.replace(" ", "."), "account")
        self._known = _KnownValues(known)
        self._lines = self._replaced_lines(found)

    @property
    def counts(self) -> Counter[str]:
        """Number of distinct secrets of each kind."""
        return Counter(kind for kind, _ in sorted(self.secrets))

    def __call__(self, text: str) -> str:
        """One of the texts, with its secrets replaced."""
        if may_hold_key(text):
            text = replace_findings(text, find_secrets(text, self._scanner.allowlist))
        if not self._lines:
            return text
        lines = self._split.get(text) or text.split("\n")
        return "\n".join(map(self._lines.get, lines, lines))

    def _replaced_lines(self, found: dict[str, list[Finding]]) -> dict[str, str]:
        lines = dict.fromkeys(itertools.chain.from_iterable(self._split.values()))
        holding = self._known.lines_with(list(lines))
        changed = {
            line: replace_findings(line, _merged([*found.get(line, ()), *self._known.find(line)]))
            for line in lines
            if line in found or line in holding
        }
        waiting = list(changed)
        for _ in range(MAX_ROUNDS if waiting else 0):
            again = self._scanner.scan_split({changed[line]: [changed[line]] for line in waiting})
            waiting = [line for line in waiting if changed[line] in again]
            for line in waiting:
                changed[line] = replace_findings(changed[line], again[changed[line]])
        return {line: after for line, after in changed.items() if after != line}


def _instance_name(host: str) -> str:
    """The name of a ServiceNow instance, e.g. dev123456, which its pages show by itself; empty where it may be a word."""
    name, _, domain = host.lower().partition(".")
    is_instance = "service-now" in domain or "servicenowservices" in domain
    return name if is_instance and len(name) >= 6 and any(map(str.isdigit, name)) else ""


def _is_distinctive(finding: Finding) -> bool:
    """Whether a value can be replaced wherever it is found: a short word such as a password ``apple`` is also a plain word."""
    value = finding.value
    if not finding.everywhere or len(value) < 4:
        return False
    return finding.kind in _ALWAYS_DISTINCTIVE or len(value) >= 12 or (len(value) >= 6 and not value.isalpha())


def _merged(findings: list[Finding]) -> Iterator[Finding]:
    """The findings in order; of overlapping ones the longest, so that no part of a known value is left."""
    end = 0
    for finding in sorted(findings, key=lambda found: (found.start, -found.end)):
        if finding.start >= end:
            yield finding
            end = finding.end


class _KnownValues:
    """Values that are replaced wherever they are found as whole words, in any letter case and behind any escape."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._kinds = {value.lower(): (kind, value) for value, kind in reversed(list(known.items()))}
        inner = "|".join(map(re.escape, sorted(self._kinds, key=lambda value: (-len(value), value))))
        self._pattern = re.compile(rf"(?<!\w)(?:{inner})(?!\w)", re.IGNORECASE) if inner else None

    def lines_with(self, lines: list[str]) -> set[str]:
        """The lines that hold a value, perhaps inside a longer word."""
        if not self._kinds:
            return set()
        views = [decode_line(line) for line in lines]
        joined = "\n".join(view.text if view else line for line, view in zip(lines, views)).lower()
        plain = joined.split("\n")
        if len(plain) != len(lines):  # never: a line without escapes is one line
            return set(lines)
        starts = list(itertools.accumulate((len(text) + 1 for text in plain), initial=0))[:-1]
        return {lines[number] for value in self._kinds for number in _numbers(joined, value, starts)}

    def find(self, line: str) -> Iterator[Finding]:
        if self._pattern is None:
            return
        view = decode_line(line)
        for match in self._pattern.finditer(view.text if view else line):
            kind, value = self._kinds.get(match[0].lower(), ("", ""))
            if kind:
                start, end = view.original_span(*match.span()) if view else match.span()
                yield Finding(kind, start, end, value)


def _numbers(joined: str, value: str, starts: list[int]) -> Iterator[int]:
    position = joined.find(value)
    while position >= 0:
        number = bisect_right(starts, position) - 1
        yield number
        position = joined.find(value, starts[number + 1]) if number + 1 < len(starts) else -1
