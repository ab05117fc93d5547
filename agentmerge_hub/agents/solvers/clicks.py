"""Buttons, dialogs, tabs, sections, menus: find the thing the goal names and click it."""

import re

from agentmerge_hub.agents.solvers.axtree import Page
from agentmerge_hub.agents.solvers.solver import Plan, Unsolved, button, click, hover, need, nth, press, solves, words


@solves("click-test")
def the_button(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    target = nth(page.all("button"), 1, "button")
    return Plan(f'The only button is "{target.name}". I click it.', (click(target),))


@solves("click-button", "unicode-test")
def named_button(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r'Click on the "(.*?)" button')
    return Plan(f'The goal names the button "{name}". I click it.', (click(button(page, name)),))


@solves("click-test-2", "click-test-transfer")
def button_of_two(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r"Click button (\w+)")
    return Plan(f'The goal names the button "{name}". I click it.', (click(button(page, name)),))


@solves("click-button-sequence")
def buttons_in_turn(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    # The buttons may overlap; a key reaches the one that is covered.
    names = re.findall(r"button (\w+)", goal)
    left = names[len(past) :] or names[-1:]
    names_text = " and then ".join(f'"{name}"' for name in left)
    return Plan(f"Now I press {names_text}.", tuple(press(button(page, name), "Enter") for name in left))


@solves("click-dialog")
def close_dialog(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    return Plan('The "x" of the dialog is its button "Close". I click it.', (click(button(page, "Close")),))


@solves("click-dialog-2")
def dialog_button(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (label,) = words(goal, r'labeled "(.*?)"')
    target = button(page, "Close" if label == "x" else label)
    return Plan(f'In the dialog, "{label}" is the button "{target.name}". I click it.', (click(target),))


@solves("click-tab")
def tab(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r"Click on (Tab #\d+)")
    return Plan(f'The goal names "{name}". I click it.', (click(need(page.named(name, "tab"), f"tab {name!r}")),))


@solves("click-collapsible", "click-collapsible-nodelay")
def section(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    head = need(next((tab for tab in page.all("tab") if tab.name.startswith("Section")), None), "section")
    submit = button(page, "Submit")
    if head.is_("expanded"):
        return Plan(f'"{head.name}" is expanded. I submit.', (click(submit),))
    return Plan(f'"{head.name}" must be expanded, then I submit.', (click(head), click(submit)))


@solves("click-menu")
def menu_path(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    path = words(goal, r"Select (.*)")[0].split(">")
    if item := page.named(path[-1], "menuitem"):
        return Plan(f'The menu shows "{path[-1]}". I click it.', (click(item),))
    # A click on an item that has a submenu would select it; hovering opens the submenu.
    parent = need(next((item for name in reversed(path) if (item := page.named(name, "menuitem"))), None), "menu item")
    return Plan(f'"{path[-1]}" is further in. I open "{parent.name}".', (hover(parent),))


@solves("buy-ticket")
def ticket(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (wish,) = words(goal, r"Buy the ticket with the (.*?)\.")
    tickets = page.all("button")
    prices = [int(words(ticket.name, r"\$(\d+)")[0]) for ticket in tickets]
    times = [60 * int(h) + int(m) for h, m in (words(t, r"(\d+)h (\d+)m") for t in page.texts if re.match(r"\d+h", t))]
    by = {"cheapest cost": (min, prices), "most expensive cost": (max, prices)}
    by |= {"shortest duration": (min, times), "longest duration": (max, times)}
    if wish not in by or len(times) != len(tickets):
        raise Unsolved(f"unknown wish {wish!r}")
    choose, values = by[wish]
    target = tickets[values.index(choose(values))]
    return Plan(f'The ticket with the {wish} has the button "{target.name}". I click it.', (click(target),))
