"""Replace the secrets of an episode: found in one place, replaced in all, so that goal, page and answer still match."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from agentmerge_hub.dataset.redaction import Allowed, Finding, Scanner, is_harmless, placeholder, redact
from agentmerge_hub.records import Episode, Message, Observation, Step


def redact_episode(episode: Episode, scanner: Scanner) -> tuple[Episode, Counter[str]]:
    """An episode with its secrets replaced wherever they stand, and how many different ones there were of each kind.

    A value that is recognized in one place (the password in a URL, the account's name in the page's header) is replaced
    in all others too. The host of the first page counts as the instance's.
    """
    known = _instance(episode, scanner.allowed)
    kinds = {(kind, value) for value, kind in known.items()}
    in_place: set[str] = set()
    for line, finding in scanner.findings(_texts(episode)):
        kinds.add((finding.kind, finding.value))
        if finding.everywhere:
            known.setdefault(finding.value, finding.kind)
        else:
            in_place.add(line)
        if finding.kind == "account" and " " in finding.value:
            known.setdefault(finding.value.replace(" ", "."), "account")
    if not kinds:
        return episode, Counter()
    return _mapped(episode, _Replacer(known, in_place, scanner.allowed)), Counter(kind for kind, _ in kinds)


def _instance(episode: Episode, allowed: Allowed | None) -> dict[str, str]:
    url = next((step.observation.url for step in episode.steps if step.observation.url), "")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return {}
    finding = Finding("host", 0, 0, host)
    harmless = is_harmless(host) or host in ("localhost", "127.0.0.1") or "." not in host
    return (
        {}
        if parts.scheme not in ("http", "https") or harmless or (allowed and allowed.lets(finding))
        else {host: "host"}
    )


class _Replacer:
    """Replaces known values in texts. Only the lines that hold one are looked at, and each of them once: the pages of an
    episode share most of their lines."""

    def __init__(self, known: Mapping[str, str], in_place: set[str], allowed: Allowed | None) -> None:
        self._allowed = allowed
        self._known = {value: placeholder(kind, value) for value, kind in known.items() if len(value) >= 3}
        inner = "|".join(map(re.escape, sorted(self._known, key=len, reverse=True)))
        self._pattern = re.compile(rf"(?:(?<=%[0-9A-Fa-f]{{2}})|(?<!\w))(?:{inner})(?!\w)") if inner else None
        self._lines: dict[str, str] = {line: self._with_rules(line) for line in in_place}
        self._triggers = (*self._known, *in_place)

    def __call__(self, text: str) -> str:
        if "PRIVATE KEY-----" in text:
            text = redact(text, self._allowed)
        parts, at = [], 0
        for begin, end in sorted(self._lines_to_change(text)):
            parts += [text[at:begin], self._line(text[begin:end])]
            at = end
        return "".join([*parts, text[at:]]) if parts else text

    def _lines_to_change(self, text: str) -> set[tuple[int, int]]:
        """Where the lines lie that hold a known value, or that a rule changes as a whole."""
        places = set()
        for trigger in self._triggers:
            at = text.find(trigger)
            while at >= 0:
                end = text.find("\n", at)
                end = len(text) if end < 0 else end
                places.add((text.rfind("\n", 0, at) + 1, end))
                at = text.find(trigger, end)
        return places

    def _line(self, line: str) -> str:
        if line not in self._lines:
            self._lines[line] = self._with_known(line)
        return self._lines[line]

    def _with_known(self, line: str) -> str:
        if not self._pattern:
            return line
        changed = self._pattern.sub(lambda match: self._known[match[0]], line)
        # What stands inside a longer word is no word of its own, but a rule may have found it all the same.
        return redact(changed, self._allowed) if any(value in changed for value in self._known) else changed

    def _with_rules(self, line: str) -> str:
        return redact(self._with_known(line), self._allowed)


def _texts(episode: Episode) -> Iterator[str]:
    yield from (episode.error, *episode.final_urls, *_strings(episode.flags))
    for step in episode.steps:
        yield from vars(step.observation).values()
        yield from (text for text in (step.answer, step.action, step.thought) if text)
        yield from (message["content"] for message in step.messages)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _mapped(episode: Episode, change: _Replacer) -> Episode:
    return replace(
        episode,
        error=change(episode.error),
        flags=_mapped_value(episode.flags, change),
        final_urls=tuple(map(change, episode.final_urls)),
        steps=tuple(_mapped_step(step, change) for step in episode.steps),
    )


def _mapped_value(value: object, change: _Replacer) -> object:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _mapped_value(inner, change) for name, inner in value.items()}
    return [_mapped_value(inner, change) for inner in value] if isinstance(value, list) else value


def _mapped_step(step: Step, change: _Replacer) -> Step:
    return replace(
        step,
        observation=Observation(**{name: change(text) for name, text in vars(step.observation).items()}),
        answer=change(step.answer),
        action=step.action and change(step.action),
        thought=step.thought and change(step.thought),
        messages=tuple(Message(role=m["role"], content=change(m["content"])) for m in step.messages),
    )
