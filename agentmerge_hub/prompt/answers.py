"""An answer: thought and action as one text, written and read back. Every function here takes linear time."""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from agentmerge_hub.actions import ActionError, parse_calls, text_around_calls, written
from agentmerge_hub.prompt.flags import Flags


def answer(action: str, thought: str | None = None) -> str:
    """The text of an answer: what a model is trained to write and what `parse` reads."""
    think = f"<think>\n{thought}\n</think>\n\n" if thought is not None else ""
    return f"{think}<action>\n{action}\n</action>"


@dataclass(frozen=True)
class Answer:
    """A parsed answer. `thought` is None where no think step was written, which the error analysis counts."""

    action: str
    """The calls alone, one a line."""
    thought: str | None


class ParseError(ValueError):
    """An answer that cannot be executed; the message is written to be sent back to the model."""


def parse(text: str, flags: Flags) -> Answer:
    """Read an answer as AgentLab's GenericAgent does: the contents of all <action> tags, else of all code blocks.

    A missing think step is not an error: the action can still be carried out.

    Raises:
        ParseError: without an action, with a call outside the action space, or with several calls where one is allowed.
    """
    actions = tag_contents("action", text) or code_blocks(text)
    if not actions:
        raise ParseError("The answer holds no action: write it as <action>…</action>.")
    try:
        calls = parse_calls("\n".join(actions), flags.action_names)
    except ActionError as error:
        raise ParseError(f"The action could not be read: {error}.") from None
    if len(calls) > 1 and not flags.multi_actions:
        raise ParseError(f"Only one action can be given at once; yours had {len(calls)}.")
    return Answer(written(calls), thought_of(text))


def action_texts(text: str) -> Iterator[str]:
    """The parts of an answer that its agent may have carried out, the likeliest first: the contents of all <action> tags;
    where there is no tag, of all code blocks, of the last code block, or the whole text."""
    if tagged := tag_contents("action", text):
        yield "\n".join(tagged)
        return
    if blocks := code_blocks(text):
        yield "\n".join(blocks)
        yield blocks[-1]
    yield text


def thought_of(text: str, *, has_action: bool = True) -> str | None:
    """The reasoning of an answer, None if it has none.

    It is the content of <think> tags, or of those that other models write instead (`THINK_TAG`), also where the chat template
    wrote the opening tag or the closing tag is missing; without such tags, the text around the action.

    Args:
        text: the answer.
        has_action: False for the text beside tool calls, which holds no action itself.
    """
    thoughts: list[str] = []
    rest: list[str] = []
    at = 0
    closes = True
    for tag in THINK_TAG.finditer(text):
        part = text[at : tag.start()]
        closes = "/" in tag[0]
        (thoughts if closes else rest).append(part)
        at = tag.end()
    tail = text[at:]
    if not closes:  # the thought ends where the action begins
        thoughts.append(tail.partition("<action>")[0])
    elif "<action>" in tail or rest or not has_action:
        rest.append(tail)
    else:
        rest.append(_without_code_blocks(tail) if "```" in tail else _prose(tail))
    around = (_without_tags("action", part).partition("<action>")[0] for part in rest)
    return "\n".join(list(_shown(thoughts)) or _shown(around)) or None


def thinks_of_nothing(text: str) -> bool:
    """Whether the think step of an answer is there and holds only signs or a word for none, such as ``...``."""
    opened = 0
    for tag in THINK_TAG.finditer(text):
        if "/" in tag[0] and any(
            unicodedata.category(character)[0] not in "ZC" for character in text[opened : tag.start()]
        ):
            return thought_of(text) is None
        opened = tag.end()
    return False


def _shown(parts: Iterable[str]) -> Iterator[str]:
    """The stripped parts that have a letter, a digit or a symbol beside tags and punctuation, and are not just a word for none."""
    without_tags = ((part, _ANY_TAG.sub("", part)) for part in parts)
    return (
        part.strip()
        for part, text in without_tags
        if any(map(_says_something, text)) and text.strip(" \n.").casefold() not in _NONE
    )


def _says_something(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNS"


_NONE = frozenset({"none", "null", "nan", "n/a"})
"""What programs write for a thought that is not there."""

_ANY_TAG = re.compile(r"<[^<>]*>")


THINK_TAG = re.compile(r"</?(?:think(?:ing)?|thoughts?|reasoning) *>|\[/?THINK\]", re.IGNORECASE)
"""A tag around reasoning: ``<think>``, ``<thinking>``, ``<thought>``, ``<reasoning>``, Magistral's ``[THINK]``."""


def tag_contents(name: str, text: str) -> list[str]:
    """The stripped contents of every ``<name>…</name>``, as AgentLab's extract_html_tags finds them."""
    return [text[begin:end].strip() for begin, end in _tags(name, text)]


def _tags(name: str, text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of the contents of tags."""
    at = 0
    while (begin := text.find(f"<{name}>", at)) >= 0:
        begin += len(name) + 2
        end = text.find(f"</{name}>", begin)
        if end < 0:
            return
        yield begin, end
        at = end + len(name) + 3


def _without_tags(name: str, text: str) -> str:
    parts, at = [], 0
    for begin, end in _tags(name, text):
        parts.append(text[at : begin - len(name) - 2])
        at = end + len(name) + 3
    return "".join([*parts, text[at:]])


_LANGUAGE = re.compile(r"\w*\n")


def code_blocks(text: str) -> list[str]:
    """The stripped contents of every block between triple backticks, as AgentLab's extract_code_blocks finds them."""
    blocks = []
    for begin, end in _blocks(text):
        language = _LANGUAGE.match(text, begin, end)
        blocks.append(text[language.end() if language else begin : end].strip())
    return blocks


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    while (begin := text.find("```", at)) >= 0:
        end = text.find("```", begin + 3)
        if end < 0:
            return
        yield begin + 3, end
        at = end + 3


def _without_code_blocks(text: str) -> str:
    """The prose around code blocks."""
    parts, at = [], 0
    for begin, end in _blocks(text):
        parts.append(text[at : begin - 3])
        at = end + 3
    return "".join([*parts, text[at:]])


def _prose(text: str) -> str:
    """What an answer without tags and code blocks says beside its calls, in two words or more; nothing where it has no call."""
    texts = _json_texts(text) or [text]
    around = [text_around_calls(part) for part in texts]
    if all(part is None for part in around):
        return ""
    said = [part if rest is None else rest for part, rest in zip(texts, around)]
    return "\n".join(part for part in said if _is_prose(_ANY_TAG.sub("", part)))


def _is_prose(text: str) -> bool:
    """Whether a text has two words, or a letter of a script without capitals, such as Chinese, which may write no spaces."""
    return len(_WORD.findall(text)) > 1 or any(unicodedata.category(character) == "Lo" for character in text)


def _json_texts(text: str) -> list[str]:
    """The texts among the values of a JSON object; none where the text is no object."""
    try:
        return list(_texts_in(json.loads(text))) if text.lstrip().startswith("{") else []
    except (ValueError, RecursionError):
        return []


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(inner)


_WORD = re.compile(r"[^\W\d_]+")
