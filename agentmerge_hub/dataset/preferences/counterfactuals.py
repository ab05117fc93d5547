"""Counterfactual answers of a solved step: generated from its page, plausible, and worse.

Input: the page as the prompt shows it, the step's action and thought. Output: answers in the prompt's own format. No answer
uses an element that looks like the right one. Whether another successful episode did the same is checked by `pairs`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agentmerge_hub.actions import Call, parse_calls
from agentmerge_hub.dataset.selection.split import draw
from agentmerge_hub.prompt import EXAMPLE_BID, answer
from agentmerge_hub.prompt.tags import without_tags

OTHER_ELEMENT = "other_element"
CONTRADICTS_THOUGHT = "contradicts_thought"
INVALID_BID = "invalid_bid"
COPIED_EXAMPLE = "copied_example"
REPEATED_ACTION = "repeated_action"
MISSING_THOUGHT = "missing_thought"

ORIGINS = {
    OTHER_ELEMENT: "the same call on another element of the same role",
    CONTRADICTS_THOUGHT: "the right thought, then the same call on another element of the same role",
    INVALID_BID: "the same call with a bid that the page does not have, close to those that it has",
    COPIED_EXAMPLE: "the call of the prompt's example, whose element is not on the page",
    REPEATED_ACTION: "the previous action once more, although the page reported an error for it",
    MISSING_THOUGHT: "the right action without the thought that the prompt asks for",
}


@dataclass(frozen=True)
class SolvedStep:
    """A step of a successful episode, as its prompt shows it."""

    axtree: str
    """The tree of the prompt; its end may be truncated."""
    bids: frozenset[str]
    """Bids of the whole page, the truncated part included."""
    action: str
    thought: str | None
    """None in a prompt without chain of thought."""
    failed_action: str = ""
    """The previous action, where the page reported an error for it."""


@dataclass(frozen=True)
class Counterfactual:
    """A worse answer and how it was made, one of `ORIGINS`."""

    origin: str
    action: str
    answer: str


def counterfactuals(step: SolvedStep, *, key: str) -> Iterator[Counterfactual]:
    """Worse answers to a step, at most one of each origin.

    Args:
        step: the step.
        key: names the step; it alone decides which of several elements is drawn.
    """
    right = parse_calls(step.action)
    candidates = [
        (CONTRADICTS_THOUGHT if step.thought is not None else OTHER_ELEMENT, _on_other_element(step, right, key)),
        (INVALID_BID, _on_invalid_bid(step, right, key)),
        (COPIED_EXAMPLE, "" if EXAMPLE_BID in step.bids else f"click('{EXAMPLE_BID}')"),
        (REPEATED_ACTION, step.failed_action),
    ]
    for origin, action in candidates:
        if action and parse_calls(action) != right:
            yield Counterfactual(origin, action, answer(action, step.thought))
    if step.thought is not None:
        yield Counterfactual(MISSING_THOUGHT, step.action, answer(step.action))


_ELEMENT = re.compile(r"^[ \t]*\[([a-zA-Z0-9]+)\] (\w+)(.*)$", re.MULTILINE)
"""A line of BrowserGym's tree: bid, role, and the rest: name, value, properties."""


def _on_other_element(step: SolvedStep, right: tuple[Call, ...], key: str) -> str:
    """The action with its first element replaced by another of the same role and another look; empty if there is none."""
    bids = [bid for call in right for bid in call.bids]
    looks = without_tags(step.axtree, {"center", "box"})  # another place is not another look
    elements = {bid: (role, rest) for bid, role, rest in _ELEMENT.findall(looks)}
    if not bids or bids[0] not in elements:
        return ""
    role, look = elements[bids[0]]
    others = sorted(bid for bid, (its, rest) in elements.items() if its == role and rest != look and bid not in bids)
    if not others:
        return ""
    return _with_bid(step.action, bids[0], others[int(draw(key, 0) * len(others))])


_BID = re.compile(r"([a-zA-Z]*)(\d+)")
_NEAR = 10
"""An invalid bid has a number up to so far below the page's smallest or above its largest."""


def _on_invalid_bid(step: SolvedStep, right: tuple[Call, ...], key: str) -> str:
    """The action with its first bid replaced by one of the same form that the page does not have; empty if it names none."""
    bids = [bid for call in right for bid in call.bids]
    if not bids or not (form := _BID.fullmatch(bids[0])):
        return ""
    found = (_BID.fullmatch(bid) for bid in (*step.bids, bids[0]))
    numbers = {int(match[2]) for match in found if match and match[1] == form[1]}
    free = sorted(set(range(max(0, min(numbers) - _NEAR), max(numbers) + _NEAR + 1)) - numbers)
    return _with_bid(step.action, bids[0], f"{form[1]}{free[int(draw(f'{key}/{INVALID_BID}', 0) * len(free))]}")


def _with_bid(action: str, bid: str, other: str) -> str:
    """The action with the first quoted `bid` replaced: calls name an element before any text."""
    return re.sub(rf"(['\"]){re.escape(bid)}\1", f"'{other}'", action, count=1)
