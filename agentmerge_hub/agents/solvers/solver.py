"""The parts of a solver: the plan, the registry, and functions that find elements and write calls.

A solver of the scripted expert maps goal and page to a thought and actions. It reads the goal with one pattern, finds
elements by role and name, and returns every action that is left to do on the current page. It keeps no state and skips
what is already filled, checked or open, so that one solver works for single actions and for several at once.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from agentmerge_hub.agents.solvers.axtree import Element, Page


class Unsolved(Exception):
    """The solver does not know what to do on this page."""


@dataclass(frozen=True)
class Plan:
    """The reason, and the actions that are left to do, in order."""

    thought: str
    actions: tuple[str, ...]


Solver = Callable[[str, Page, tuple[str, ...]], Plan]
"""Goal, page, and every call made so far → plan."""

SOLVERS: dict[str, Solver] = {}
"""Task name, e.g. ``miniwob.click-test`` → solver."""


def solves(*tasks: str) -> Callable[[Solver], Solver]:
    """Register a solver for MiniWoB tasks."""

    def register(solver: Solver) -> Solver:
        SOLVERS.update({f"miniwob.{task}": solver for task in tasks})
        return solver

    return register


def words(text: str, pattern: str) -> tuple[str, ...]:
    """The groups of a pattern in a goal or a text."""
    match = re.search(pattern, text, re.DOTALL)
    if match is None:
        raise Unsolved(f"{text!r} does not match {pattern!r}")
    return match.groups()


def need(element: Element | None, what: str) -> Element:
    """The element; raises Unsolved unless it exists and has a bid."""
    if element is None or not element.bid:
        raise Unsolved(f"there is no {what} on the page")
    return element


def nth(elements: list[Element], number: int, what: str) -> Element:
    """The element with this number, counted from 1."""
    return need(elements[number - 1] if 0 < number <= len(elements) else None, f"{what} number {number}")


def button(page: Page, name: str) -> Element:
    return need(page.named(name, "button"), f"button {name!r}")


def textbox(page: Page) -> Element:
    """The first text field that is enabled."""
    return nth([box for box in page.all("textbox") if not box.is_("disabled")], 1, "text field")


def click(element: Element) -> str:
    return f"click({element.bid!r})"


def hover(element: Element) -> str:
    return f"hover({element.bid!r})"


def fill(element: Element, value: str) -> str:
    return f"fill({element.bid!r}, {value!r})"


def select(element: Element, option: str) -> str:
    return f"select_option({element.bid!r}, {option!r})"


def press(element: Element, key: str) -> str:
    return f"press({element.bid!r}, {key!r})"


def write_and_submit(box: Element, value: str, submit: Element, why: str) -> Plan:
    """One text field, then the button."""
    if box.value == value:
        return Plan(f'The text field holds "{value}". I press "{submit.name}".', (click(submit),))
    return Plan(f'{why} I write "{value}" and press "{submit.name}".', (fill(box, value), click(submit)))
