"""Counterfactual answers of a solved step: generated from its page, plausible, and worse.

Input: the page as the prompt shows it, the step's action and thought. Output: answers in the prompt's own format. No answer
uses an element that looks like the right one. Whether another successful episode did the same is checked by `pairs`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agentmerge_hub.actions import Call, parse_calls
from agentmerge_hub.dataset.split import draw
from agentmerge_hub.prompt import EXAMPLE_BID, answer, tree_bids

OTHER_ELEMENT = "other_element"
CONTRADICTS_THOUGHT = "contradicts_thought"
COPIED_EXAMPLE = "copied_example"
REPEATED_ACTION = "repeated_action"
MISSING_THOUGHT = "missing_thought"

ORIGINS = {
    OTHER_ELEMENT: "the same call on another element of the same role",
    CONTRADICTS_THOUGHT: "the right thought, then the same call on another element of the same role",
    COPIED_EXAMPLE: "the call of the prompt's example, whose element is not on the page",
    REPEATED_ACTION: "the previous action once more, although the page reported an error for it",
    MISSING_THOUGHT: "the right action without the thought that the prompt asks for",
}


@dataclass(frozen=True)
class SolvedStep:
    """A step of a successful episode, as its prompt shows it."""

    axtree: str
    """The tree of the prompt; its end may be truncated."""
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
        (COPIED_EXAMPLE, "" if EXAMPLE_BID in tree_bids(step.axtree) else f"click('{EXAMPLE_BID}')"),
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
    elements = {bid: (role, rest) for bid, role, rest in _ELEMENT.findall(step.axtree)}
    if not bids or bids[0] not in elements:
        return ""
    role, look = elements[bids[0]]
    others = sorted(bid for bid, (its, rest) in elements.items() if its == role and rest != look and bid not in bids)
    if not others:
        return ""
    other = others[int(draw(key, 0) * len(others))]
    # The first quoted bid is the first argument of the first call that has one: calls name it before any text.
    return re.sub(rf"(['\"]){re.escape(bids[0])}\1", f"'{other}'", step.action, count=1)
