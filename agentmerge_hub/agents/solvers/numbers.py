"""Tasks that ask for a little arithmetic."""

import re
from itertools import pairwise

from agentmerge_hub.agents.solvers.axtree import Page
from agentmerge_hub.agents.solvers.solver import (
    Plan,
    Unsolved,
    button,
    click,
    fill,
    nth,
    solves,
    textbox,
    words,
    write_and_submit,
)


@solves("simple-arithmetic")
def arithmetic(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    left, sign, right = words(" ".join(page.texts), r"(-?\d+) ([-+x]) (-?\d+) =")
    a, b = int(left), int(right)
    value = {"+": a + b, "-": a - b, "x": a * b}[sign]
    return write_and_submit(textbox(page), str(value), button(page, "Submit"), f"{a} {sign} {b} = {value}.")


@solves("simple-algebra")
def algebra(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    left, sign, right, total = words(" ".join(page.texts), r"(x|-?\d+) ([-+]) (x|-?\d+) = (-?\d+)")
    if left == "x":
        value = int(total) - int(right) if sign == "+" else int(total) + int(right)
    else:
        value = int(total) - int(left) if sign == "+" else int(left) - int(total)
    why = f"From {left} {sign} {right} = {total} follows x = {value}."
    return write_and_submit(textbox(page), str(value), button(page, "Submit"), why)


@solves("guess-number")
def guess(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    low, high = map(int, words(goal, r"between (\d+)-(\d+)"))
    submit = click(button(page, "Submit"))
    box = nth(page.all("spinbutton"), 1, "number field")
    guesses = [int(words(call, r"'(\d+)'\)")[0]) for call in past if call.startswith("fill")]
    hint = " ".join(page.texts)
    # Each guess was the middle of the range left; the page shows only whether the last one was too high. Replay the others.
    if guesses and past[-1] == submit:
        low, high = _narrowed(guesses, hint, low, high)
    elif guesses:
        return Plan(f"{guesses[-1]} is written. I submit it.", (submit,))
    middle = (low + high) // 2
    return Plan(f"The number is between {low} and {high}. I try {middle}.", (fill(box, str(middle)), submit))


def _narrowed(guesses: list[int], hint: str, low: int, high: int) -> tuple[int, int]:
    """The range left after the guesses. A guess above the one before it means that the page answered "higher"."""
    for guess, following in pairwise(guesses):
        low, high = (guess + 1, high) if following > guess else (low, guess - 1)
    if "higher" in hint:
        return guesses[-1] + 1, high
    if "lower" in hint:
        return low, guesses[-1] - 1
    raise Unsolved("the page does not say how the guess was")


@solves("generate-number")
def generate(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    shown = next((int(text) for text in page.texts if re.fullmatch(r"-?\d+", text)), None)
    again, submit = click(button(page, "Generate")), click(button(page, "Submit"))
    if shown is None:
        return Plan("There is no number yet. I generate one.", (again,))
    if _fits(goal, shown):
        return Plan(f"{shown} is what the goal asks for. I submit it.", (submit,))
    return Plan(f"{shown} is not what the goal asks for. I generate another one.", (again,))


def _fits(goal: str, number: int) -> bool:
    if limit := re.search(r"(less|greater) than (-?\d+)", goal):
        return number < int(limit[2]) if limit[1] == "less" else number > int(limit[2])
    (parity,) = words(goal, r"an (odd|even) number")
    return (number % 2 == 1) == (parity == "odd")


@solves("use-spinner")
def spinner(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (value,) = words(goal, r"Select (-?\d+) with the spinner")
    box = nth(page.all("spinbutton"), 1, "spinner")
    submit = button(page, "Submit")
    if box.properties.get("valuetext") == value:
        return Plan(f"The spinner shows {value}. I submit.", (click(submit),))
    return Plan(f"The spinner must show {value}. I write it and submit.", (fill(box, value), click(submit)))
