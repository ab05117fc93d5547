"""Solvers of MiniWoB tasks for the scripted expert: goal + page → thought + actions.

Each reads the goal with one pattern, finds its elements by role and name, and returns every action that still has to be
done on the page as it is now. It keeps no state: what is already filled, checked or open is left alone, so that the
same solver serves an agent that does all at once and one that does one action and looks again.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from agentmerge_hub.agents.axtree import Element, Page


class Unsolved(Exception):
    """The solver does not know what to do on this page."""


@dataclass(frozen=True)
class Plan:
    """A short true reason and the actions still to be done, in order."""

    thought: str
    actions: tuple[str, ...]


Solver = Callable[[str, Page, tuple[str, ...]], Plan]

SOLVERS: dict[str, Solver] = {}
"""Task name, e.g. ``miniwob.click-test`` → solver."""


def solves(*tasks: str) -> Callable[[Solver], Solver]:
    """Register a solver for MiniWoB tasks."""

    def register(solver: Solver) -> Solver:
        SOLVERS.update({f"miniwob.{task}": solver for task in tasks})
        return solver

    return register


def words(goal: str, pattern: str) -> tuple[str, ...]:
    """The groups of a pattern in the goal."""
    match = re.search(pattern, goal, re.DOTALL)
    if match is None:
        raise Unsolved(f"the goal does not read like {pattern!r}")
    return match.groups()


def need(element: Element | None, what: str) -> Element:
    """The element, which must be there and have a bid."""
    if element is None or not element.bid:
        raise Unsolved(f"there is no {what} on the page")
    return element


def click(element: Element) -> str:
    return f"click({element.bid!r})"


def fill(element: Element, value: str) -> str:
    return f"fill({element.bid!r}, {value!r})"


def button(page: Page, name: str) -> Element:
    return need(page.named(name, "button"), f"button {name!r}")


@solves("click-test")
def click_test(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    target = need(next(iter(page.all("button")), None), "button")
    return Plan(f'The only button is "{target.name}". I click it.', (click(target),))


@solves("click-test-2", "click-test-transfer")
def click_test_2(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r"Click button (\w+)")
    return Plan(f'The goal names the button "{name}". I click it.', (click(button(page, name)),))


@solves("click-button")
def click_button(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r'Click on the "(.*?)" button')
    return Plan(f'The goal names the button "{name}". I click it.', (click(button(page, name)),))


@solves("click-dialog")
def click_dialog(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    return Plan('The "x" of the dialog is its button "Close". I click it.', (click(button(page, "Close")),))


@solves("click-dialog-2")
def click_dialog_2(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (label,) = words(goal, r'labeled "(.*?)"')
    target = button(page, "Close" if label == "x" else label)
    return Plan(f'In the dialog, "{label}" is the button "{target.name}". I click it.', (click(target),))


@solves("focus-text")
def focus_text(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    box = need(next(iter(page.all("textbox")), None), "text field")
    return Plan("Clicking the text field focuses it.", (click(box),))


@solves("focus-text-2")
def focus_text_2(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (number,) = words(goal, r"(\d+)(?:st|nd|rd|th) input")
    boxes = page.all("textbox")
    if int(number) > len(boxes):
        raise Unsolved(f"there is no text field {number}")
    return Plan(f"Clicking text field number {number} focuses it.", (click(boxes[int(number) - 1]),))


@solves("enter-text")
def enter_text(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (value,) = words(goal, r'Enter "(.*)" into the text field')
    box = need(next(iter(page.all("textbox")), None), "text field")
    submit = click(button(page, "Submit"))
    if box.value == value:
        return Plan(f'The text field holds "{value}". I submit it.', (submit,))
    return Plan(f'The text field must hold "{value}", then I submit.', (fill(box, value), submit))


@solves("click-option")
def click_option(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r"Select (.*) and click Submit")
    radio = need(page.named(name, "radio"), f"option {name!r}")
    submit = click(button(page, "Submit"))
    if radio.is_("checked"):
        return Plan(f'The option "{name}" is selected. I submit it.', (submit,))
    return Plan(f'The option "{name}" must be selected, then I submit.', (click(radio), submit))


@solves("click-checkboxes")
def click_checkboxes(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (listed,) = words(goal, r"Select (.*) and click Submit")
    names = [] if listed == "nothing" else listed.split(", ")
    boxes = [need(page.named(name, "checkbox"), f"checkbox {name!r}") for name in names]
    left = [box for box in boxes if not box.is_("checked")]
    submit = click(button(page, "Submit"))
    if not left:
        return Plan("Every checkbox of the goal is checked. I submit.", (submit,))
    names_left = ", ".join(f'"{box.name}"' for box in left)
    return Plan(f"Still to check: {names_left}; then I submit.", (*map(click, left), submit))


@solves("login-user")
def login_user(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    name, password = words(goal, r'username "(.*?)" and the password "(.*?)"')
    boxes = page.all("textbox")
    if len(boxes) < 2:
        raise Unsolved("there are no two text fields")
    left = [fill(box, value) for box, value in zip(boxes, (name, password)) if len(box.value) != len(value)]
    login = click(button(page, "Login"))
    if not left:
        return Plan("Both fields are filled. I log in.", (login,))
    return Plan(f'The username is "{name}" and the password "{password}"; then I log in.', (*left, login))


@solves("click-collapsible", "click-collapsible-nodelay")
def click_collapsible(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    section = need(next((tab for tab in page.all("tab") if tab.name.startswith("Section")), None), "section")
    submit = click(button(page, "Submit"))
    if section.is_("expanded"):
        return Plan(f'"{section.name}" is expanded. I submit.', (submit,))
    return Plan(f'"{section.name}" must be expanded, then I submit.', (click(section), submit))


@solves("click-tab")
def click_tab(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r"Click on (Tab #\d+)")
    tab = need(page.named(name, "tab"), f"tab {name!r}")
    return Plan(f'The goal names "{name}". I click it.', (click(tab),))


@solves("enter-password")
def enter_password(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (password,) = words(goal, r'password "(.*?)"')
    left = [fill(box, password) for box in page.all("textbox") if len(box.value) != len(password)]
    submit = click(button(page, "Submit"))
    if not left:
        return Plan("Both fields hold the password. I submit.", (submit,))
    return Plan(f'Both fields must hold "{password}", then I submit.', (*left, submit))
