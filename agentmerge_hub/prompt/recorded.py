"""A recorded prompt as blocks: word for word, with the observation's page found in it."""

import re
from collections.abc import Iterable, Sequence

from agentmerge_hub.prompt.answers import THINK_TAG
from agentmerge_hub.prompt.layout import Block, Prompt
from agentmerge_hub.prompt.tags import tag_variants
from agentmerge_hub.prompt.truncation import truncated_lines
from agentmerge_hub.records import Message, Observation


def split_recorded(messages: Sequence[Message], observation: Observation) -> Prompt:
    """A recorded prompt, word for word and turn by turn, with the observation's tree and HTML as blocks of their own.

    A page that was truncated when the prompt was sent is found as far as it goes, with its truncation marker.
    """
    system = messages[0]["content"] if messages and messages[0]["role"] == "system" else ""
    blocks = [Block(m["content"], opens=m["role"]) for m in messages[1 if system else 0 :]]
    for name, versions in (("axtree", tag_variants(observation.axtree.strip())), ("html", [observation.html.strip()])):
        blocks = _with_page(blocks, name, versions)
    return Prompt(system, tuple(block for block in blocks if block.text or block.opens))


def shows_thought(messages: Sequence[Message], thoughts: Iterable[str]) -> bool:
    """Whether a recorded prompt shows one of the thoughts of earlier steps: behind a think tag, or anywhere if it is no short one,
    which could also be a text of the page."""
    return any(
        thought in message["content"] and (len(thought) >= _SHORTEST_THOUGHT or _is_tagged(message["content"], thought))
        for thought in set(thoughts)
        for message in messages
    )


_SHORTEST_THOUGHT = 20
"""Characters."""
_SPACE = re.compile(r"\s*")


def _is_tagged(text: str, thought: str) -> bool:
    return any(
        "/" not in tag[0] and text.startswith(thought, _SPACE.match(text, tag.end()).end())  # type: ignore[union-attr]  # matches anywhere
        for tag in THINK_TAG.finditer(text)
    )


def _with_page(blocks: list[Block], name: str, versions: Iterable[str]) -> list[Block]:
    """The blocks with the page as one of them, in the last turn that shows it: earlier turns show earlier pages."""
    for page in versions:
        for place in reversed(range(len(blocks))):
            block = blocks[place]
            shown = "" if block.name or not page else _shown_part(page, block.text)
            if shown:
                before, after = block.text.split(shown, 1)
                parts = [Block(before, opens=block.opens), Block(shown, name), Block(after)]
                return [*blocks[:place], *parts, *blocks[place + 1 :]]
    return blocks


def _shown_part(page: str, text: str) -> str:
    """The lines of a page, from its first one on, that a text shows, and the truncation marker behind them; empty if
    the text does not show the first three."""
    if page in text:
        return page
    lines = page.split("\n")
    begin = text.find("\n".join(lines[:3]) + "\n") if len(lines) > 3 else -1
    if begin < 0:
        return ""
    shown = text[begin:].split("\n")
    same = next((n for n, (line, other) in enumerate(zip(lines, shown)) if line != other), min(len(lines), len(shown)))
    if same < len(shown) and truncated_lines(shown[same]):
        lines, same = shown, same + 1
    return "\n".join(lines[:same])
