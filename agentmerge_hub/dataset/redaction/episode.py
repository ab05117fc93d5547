"""Redact one episode: a secret found in one field is replaced in all fields, so that goal, page and answer still match."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from agentmerge_hub.dataset.redaction.finding import Allowlist, Finding
from agentmerge_hub.dataset.redaction.placeholders import is_harmless
from agentmerge_hub.dataset.redaction.replacement import Replacer
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.records import Episode, Message, Observation, Step


def redact_episode(episode: Episode, scanner: LineScanner) -> tuple[Episode, Counter[str]]:
    """The redacted episode, and the number of distinct secrets of each kind.

    A value that a rule recognizes in one field (the password in a URL, the account's name in the page header) is replaced
    in all other fields too. The host of the first page counts as the instance's host.
    """
    known = _instance_host(episode, scanner.allowlist)
    secrets = {(kind, value) for value, kind in known.items()}
    lines_to_redact: set[str] = set()
    for line, finding in scanner.scan(_texts(episode)):
        secrets.add((finding.kind, finding.value))
        if finding.everywhere:
            known.setdefault(finding.value, finding.kind)
        else:
            lines_to_redact.add(line)
        if finding.kind == "account" and " " in finding.value:
            known.setdefault(finding.value.replace(" ", "."), "account")
    if not secrets:
        return episode, Counter()
    replacer = Replacer(known, lines_to_redact, scanner.allowlist)
    return _replace_in_episode(episode, replacer), Counter(kind for kind, _ in secrets)


def _instance_host(episode: Episode, allowlist: Allowlist | None) -> dict[str, str]:
    url = next((step.observation.url for step in episode.steps if step.observation.url), "")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return {}
    finding = Finding("host", 0, 0, host)
    harmless = is_harmless(host) or host in ("localhost", "127.0.0.1") or "." not in host
    if parts.scheme not in ("http", "https") or harmless or (allowlist and allowlist.permits(finding)):
        return {}
    return {host: "host"}


def _texts(episode: Episode) -> Iterator[str]:
    yield from (episode.error, *episode.final_urls, *_strings(episode.flags))
    for step in episode.steps:
        yield from filter(None, vars(step.observation).values())
        yield from (text for text in (step.answer, step.action, step.thought) if text)
        yield from (message["content"] for message in step.messages)
        yield from step.refused_answers


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _replace_in_episode(episode: Episode, replacer: Replacer) -> Episode:
    flags = _replace_in_json(episode.flags, replacer)
    assert isinstance(flags, dict)
    return replace(
        episode,
        error=replacer(episode.error),
        flags=flags,
        final_urls=tuple(map(replacer, episode.final_urls)),
        steps=tuple(_replace_in_step(step, replacer) for step in episode.steps),
    )


def _replace_in_json(value: object, replacer: Replacer) -> object:
    if isinstance(value, str):
        return replacer(value)
    if isinstance(value, dict):
        return {name: _replace_in_json(inner, replacer) for name, inner in value.items()}
    return [_replace_in_json(inner, replacer) for inner in value] if isinstance(value, list) else value


def _replace_in_step(step: Step, replacer: Replacer) -> Step:
    return replace(
        step,
        observation=Observation(**{name: text and replacer(text) for name, text in vars(step.observation).items()}),
        answer=replacer(step.answer),
        action=step.action and replacer(step.action),
        thought=step.thought and replacer(step.thought),
        messages=tuple(Message(role=m["role"], content=replacer(m["content"])) for m in step.messages),
        refused_answers=tuple(map(replacer, step.refused_answers)),
    )
