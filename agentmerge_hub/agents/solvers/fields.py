"""Text fields: focus, copy, transform, log in."""

from agentmerge_hub.agents.solvers.axtree import Page
from agentmerge_hub.agents.solvers.solver import (
    Plan,
    button,
    click,
    fill,
    nth,
    solves,
    textbox,
    words,
    write_and_submit,
)


@solves("focus-text")
def focus(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    return Plan("Clicking the text field focuses it.", (click(textbox(page)),))


@solves("focus-text-2")
def focus_one(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (number,) = words(goal, r"(\d+)(?:st|nd|rd|th) input")
    box = nth(page.all("textbox"), int(number), "text field")
    return Plan(f"Clicking text field number {number} focuses it.", (click(box),))


@solves("enter-text", "enter-text-dynamic")
def enter(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (value,) = words(goal, r'Enter "(.*)" into the text field')
    return write_and_submit(textbox(page), value, button(page, "Submit"), "The goal gives the text.")


@solves("enter-text-2")
def enter_in_case(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    text, case = words(goal, r'Type "(.*?)" in all (upper|lower) case')
    value = text.upper() if case == "upper" else text.lower()
    return write_and_submit(textbox(page), value, button(page, "Submit"), f"The text must be in {case} case.")


@solves("text-transform")
def read_letters(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    value = "".join(
        e.name for e in page.elements if e.role == "StaticText" and e.parent and e.parent.role == "RootWebArea"
    )
    return write_and_submit(textbox(page), value, button(page, "Submit"), "The letters above are the text.")


@solves("find-word")
def find_word(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (number,) = words(goal, r"Find the (\d+)\w\w word")
    paragraph = nth(page.all("paragraph"), 1, "paragraph").text
    value = paragraph.split()[int(number) - 1].strip(".,")
    return write_and_submit(textbox(page), value, button(page, "Submit"), f"Word {number} of the paragraph is wanted.")


@solves("copy-paste")
def copy(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    boxes = [box for box in page.all("textbox") if box.bid]
    source = nth([box for box in boxes if box.value], 1, "text area with a text")
    box = next((box for box in boxes if box is not source), source)
    return write_and_submit(box, source.value, button(page, "Submit"), "The text area holds the text.")


@solves("copy-paste-2")
def copy_one(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (number,) = words(goal, r"from the (\d)\w\w text area")
    boxes = page.all("textbox")
    source = nth(boxes, int(number), "text area")
    return write_and_submit(boxes[-1], source.value, button(page, "Submit"), f"Text area {number} holds the text.")


@solves("scroll-text")
def last_word(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    boxes = page.all("textbox")
    value = nth(boxes, 1, "text area").value.split()[-1].strip(".,")
    box = nth(boxes, 2, "text field")
    return write_and_submit(box, value, button(page, "Submit"), "I read the last word of the text area.")


@solves("enter-password")
def password_twice(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (password,) = words(goal, r'password "(.*?)"')
    # A password field shows dots: only its length can be compared.
    left = [fill(box, password) for box in page.all("textbox") if len(box.value) != len(password)]
    submit = click(button(page, "Submit"))
    if not left:
        return Plan("Both fields hold the password. I submit.", (submit,))
    return Plan(f'Both fields must hold "{password}", then I submit.', (*left, submit))


@solves("login-user")
def log_in(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    return _log_in(goal, page, "Login")


@solves("login-user-popup")
def log_in_past_popups(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    popup = page.named("Cancel", "button")
    if popup is not None:
        return Plan('A popup is in the way. I click "Cancel" to stay.', (click(popup),))
    return _log_in(goal, page, "OK")


def _log_in(goal: str, page: Page, name: str) -> Plan:
    values = words(goal, r'username "(.*?)" and the password "(.*?)"')
    boxes = page.all("textbox")
    left = [fill(nth(boxes, n, "text field"), v) for n, v in enumerate(values, 1) if len(boxes[n - 1].value) != len(v)]
    submit = click(button(page, name))
    if not left:
        return Plan(f'Both fields are filled. I click "{name}".', (submit,))
    return Plan(
        f'The username is "{values[0]}" and the password "{values[1]}"; then I click "{name}".', (*left, submit)
    )
