"""Replace known secrets in the texts of one episode."""

import re
from collections.abc import Mapping

from agentmerge_hub.dataset.redaction.finding import Allowlist
from agentmerge_hub.dataset.redaction.placeholders import placeholder
from agentmerge_hub.dataset.redaction.scanner import redact_text


class Replacer:
    """Replaces known values in texts.

    Only lines that hold a known value are processed, and each distinct line once: the pages of an episode share most of
    their lines.
    """

    def __init__(self, known: Mapping[str, str], lines_to_redact: set[str], allowlist: Allowlist | None) -> None:
        """
        Args:
            known: value → kind, replaced wherever it is found.
            lines_to_redact: lines in which the rules replace values that are secret only in their context.
            allowlist: what stays.
        """
        self._allowlist = allowlist
        self._known = {value: placeholder(kind, value) for value, kind in known.items() if len(value) >= 3}
        inner = "|".join(map(re.escape, sorted(self._known, key=len, reverse=True)))
        self._pattern = re.compile(rf"(?:(?<=%[0-9A-Fa-f]{{2}})|(?<!\w))(?:{inner})(?!\w)") if inner else None
        self._lines: dict[str, str] = {line: self._apply_rules(line) for line in lines_to_redact}
        self._triggers = (*self._known, *lines_to_redact)

    def __call__(self, text: str) -> str:
        if "PRIVATE KEY-----" in text:
            text = redact_text(text, self._allowlist)
        segments, position = [], 0
        for start, end in sorted(self._lines_to_change(text)):
            segments += [text[position:start], self._line(text[start:end])]
            position = end
        return "".join([*segments, text[position:]]) if segments else text

    def _lines_to_change(self, text: str) -> set[tuple[int, int]]:
        """Start and end of each line that holds a known value or is redacted by rules."""
        spans = set()
        for trigger in self._triggers:
            position = text.find(trigger)
            while position >= 0:
                end = text.find("\n", position)
                end = len(text) if end < 0 else end
                spans.add((text.rfind("\n", 0, position) + 1, end))
                position = text.find(trigger, end)
        return spans

    def _line(self, line: str) -> str:
        if line not in self._lines:
            self._lines[line] = self._replace_known(line)
        return self._lines[line]

    def _replace_known(self, line: str) -> str:
        if not self._pattern:
            return line
        changed = self._pattern.sub(lambda match: self._known[match[0]], line)
        # A known value inside a longer word is not a word of its own, but a rule may match it.
        return redact_text(changed, self._allowlist) if any(value in changed for value in self._known) else changed

    def _apply_rules(self, line: str) -> str:
        return redact_text(self._replace_known(line), self._allowlist)
