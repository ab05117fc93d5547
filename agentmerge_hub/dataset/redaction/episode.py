"""Redact one episode: a secret found in one field is replaced in all fields, so that goal, page and answer still match."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from agentmerge_hub.dataset.redaction.finding import Allowlist, Finding
from agentmerge_hub.dataset.redaction.machine_names import machine_names
from agentmerge_hub.dataset.redaction.placeholders import is_harmless
from agentmerge_hub.dataset.redaction.replacement import Replacer
from agentmerge_hub.dataset.redaction.scanner import LineScanner
from agentmerge_hub.records import Episode, Message, Step

_NAMES = ("benchmark", "task", "agent", "teacher", "action_space", "date")
"""Fields of an episode that hold names."""

_PUBLIC_SITES = ("assistantbench", "webvoyager", "weblinx", "openended", "mind2web")
"""Benchmarks on the open web: the host of their first page is a public site."""

_PATH = re.compile(r"(?:[A-Za-z]:|\.{0,2}|~[\w.-]*|\w+:/)?[\\/](?:[^\\/]+[\\/])*[^\\/]+[\\/]?")


def redact_episode(episode: Episode, scanner: LineScanner) -> tuple[Episode, Counter[str]]:
    """The redacted episode, and the number of distinct secrets of each kind.

    A value that a rule recognizes in one field (the password in a URL, the account's name in the page header) is replaced
    in all other fields too. The host of the first page counts as the instance's host.
    """
    teacher = path_role(episode.teacher)
    # AgentLab names its agents after their models: GenericAgent-_home_jane_models_Llama
    agent = episode.agent.replace(re.sub(r"[\\/]", "_", episode.teacher), teacher) if teacher else episode.agent
    roles = {"agent": path_role(agent), "teacher": teacher}
    if any(getattr(episode, name) != role for name, role in roles.items()):
        episode = replace(episode, **roles)  # type: ignore[arg-type]  # both fields are str
    replacer = Replacer(_texts(episode), scanner, _known_names(episode, scanner.allowlist))
    if not replacer.secrets:
        return episode, Counter()
    return _replace_in_episode(episode, replacer), replacer.counts


def redact_detail(episode: Episode, detail: str, scanner: LineScanner) -> str:
    """The ledger's detail on an episode that is dropped, without the secrets of that episode's addresses."""
    urls = [step.observation.url for step in episode.steps[:1]]
    return Replacer([detail, *urls], scanner, _known_names(episode, scanner.allowlist))(detail)


def path_role(name: str) -> str:
    """The last name of a local path, e.g. of a model's folder; any other text as it is."""
    if not _PATH.fullmatch(name):
        return name
    return re.split(r"[\\/]", name.rstrip("\\/"))[-1]


def _known_names(episode: Episode, allowlist: Allowlist | None) -> dict[str, str]:
    known = dict(machine_names())
    if host := _instance_host(episode):
        known[host] = "host"
    return {
        value: kind
        for value, kind in known.items()
        if not (allowlist and allowlist.permits(Finding(kind, 0, 0, value)))
    }


def _instance_host(episode: Episode) -> str:
    if episode.benchmark.startswith(_PUBLIC_SITES):
        return ""
    url = next((step.observation.url for step in episode.steps if step.observation.url), "")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    harmless = is_harmless(host) or host in ("localhost", "127.0.0.1", "::1") or "." not in host
    return "" if parts.scheme not in ("http", "https") or harmless else host


def _texts(episode: Episode) -> Iterator[str]:
    yield from (getattr(episode, name) for name in _NAMES)
    yield from (episode.error, *episode.final_urls, *_strings(episode.flags))
    for step in episode.steps:
        yield from (value for value in vars(step.observation).values() if isinstance(value, str))
        yield from (text for text in (step.answer, step.action, step.executed, step.thought) if text)
        yield from (message["content"] for message in step.messages)
        yield from step.refused_answers


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(name)
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def replace_in_json(value: Any, replacer: Callable[[str], str]) -> Any:
    """A JSON value with every string and key replaced."""
    if isinstance(value, str):
        return replacer(value)
    if isinstance(value, dict):
        return {replacer(name): replace_in_json(inner, replacer) for name, inner in value.items()}
    return [replace_in_json(inner, replacer) for inner in value] if isinstance(value, list | tuple) else value


def _replace_in_episode(episode: Episode, replacer: Replacer) -> Episode:
    names = {name: replacer(getattr(episode, name)) for name in _NAMES}
    return replace(
        episode,
        **names,  # type: ignore[arg-type]  # every field of _NAMES is str
        error=replacer(episode.error),
        flags=replace_in_json(episode.flags, replacer),
        final_urls=tuple(map(replacer, episode.final_urls)),
        steps=tuple(_replace_in_step(step, replacer) for step in episode.steps),
    )


def _replace_in_step(step: Step, replacer: Replacer) -> Step:
    changed: dict[str, Any] = {
        name: replacer(value) for name, value in vars(step.observation).items() if isinstance(value, str)
    }
    return replace(
        step,
        observation=replace(step.observation, **changed),
        answer=replacer(step.answer),
        action=step.action and replacer(step.action),
        executed=replacer(step.executed),
        thought=step.thought and replacer(step.thought),
        messages=tuple(Message(role=m["role"], content=replacer(m["content"])) for m in step.messages),
        refused_answers=tuple(map(replacer, step.refused_answers)),
    )
