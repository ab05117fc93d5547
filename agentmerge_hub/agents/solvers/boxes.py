"""Checkboxes, radio buttons and rows of choices."""

from agentmerge_hub.agents.solvers.axtree import Element, Page
from agentmerge_hub.agents.solvers.solver import Plan, button, click, fill, need, nth, solves, words


@solves("click-option")
def option(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r"Select (.*) and click Submit")
    radio = need(page.named(name, "radio"), f"option {name!r}")
    submit = click(button(page, "Submit"))
    if radio.is_("checked"):
        return Plan(f'The option "{name}" is selected. I submit it.', (submit,))
    return Plan(f'The option "{name}" must be selected, then I submit.', (click(radio), submit))


@solves("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer")
def named_checkboxes(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (listed,) = words(goal, r"Select (.*) and click Submit")
    names = [] if listed == "nothing" else listed.split(", ")
    return _check([need(page.named(name, "checkbox"), f"checkbox {name!r}") for name in names], page, "named")


def _check(boxes: list[Element], page: Page, why: str) -> Plan:
    """Check what is not checked yet, then submit."""
    left = [box for box in boxes if not box.is_("checked")]
    submit = click(button(page, "Submit"))
    if not left:
        return Plan("Every checkbox of the goal is checked. I submit.", (submit,))
    names = ", ".join(f'"{box.name}"' for box in left)
    return Plan(f"Still to check, as {why}: {names}; then I submit.", (*map(click, left), submit))


_ALIKE = [
    group.split()
    for group in (
        "big large huge enormous gigantic", "small tiny little mini petite", "red scarlet crimson vermillion",
        "happy cheerful joyful gleeful delighted", "sad unhappy sorrowful miserable tragic", "angry mad furious irritated",
        "evil wicked immoral sinful corrupt depraved", "wrong incorrect mistaken erroneous", "real genuine actual",
        "strange odd peculiar unusual weird", "stop cease halt end finish",
        "scared terrified panicked fearful frightened afraid", "quiet calm peaceful serene mild", "old aged archaic",
        "love like adore favor", "kill murder assassinate", "keep retain preserve sustain maintain",
        "hide conceal camouflage", "hate despise loathe detest dislike", "funny humorous amusing comical laughable",
        "fat fleshy plump chubby", "stupid dumb dull unwise", "delicious savory delectable appetizing",
        "cut slice carve chop", "brave courageous fearless", "begin start initiate launch", "answer reply response",
        "television televisions TV TVs", "house home houses homes", "fire flame fires flames", "pig pork swine",
        "rabbit rabbits bunny bunnies", "car cars automobile automobiles vehicle vehicles", "water",
    )
]  # fmt: skip
"""Synonyms that the tasks use."""


@solves("click-checkboxes-soft")
def similar_checkboxes(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    wanted = words(goal, r"similar to (.*) and click Submit")[0].split(", ")
    alike = {other for word in wanted for group in _ALIKE if word in group for other in group} | set(wanted)
    return _check([box for box in page.all("checkbox") if box.name in alike], page, "similar to the goal's words")


@solves("odd-or-even")
def odd_or_even(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    numbers = [int(text) for text in page.texts if text.lstrip("-").isdigit()]
    rows = list(zip(numbers, (b for b in page.all("button") if b.name == "Odd"), page_buttons(page, "Even")))
    marks = [click(odd if number % 2 else even) for number, odd, even in rows]
    left = [mark for mark in marks if mark not in past]
    submit = click(button(page, "Submit"))
    parities = ", ".join(f"{number} is {'odd' if number % 2 else 'even'}" for number, _, _ in rows)
    return Plan(
        f"{parities}. I mark what is left and submit." if left else f"{parities}. All are marked. I submit.",
        (*left, submit),
    )


def page_buttons(page: Page, name: str) -> list[Element]:
    return [button for button in page.all("button") if button.name == name]


@solves("form-sequence-2")
def radio_and_number(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    radio_number, value, box_number = words(
        goal, r'the (\d)\w\w radio button and enter the number "(.*?)" into the (\d)'
    )
    radio = nth(page.all("radio"), int(radio_number), "radio button")
    box = nth(page.all("textbox"), int(box_number), "text field")
    left = [] if radio.is_("checked") else [click(radio)]
    left += [] if box.value == value else [fill(box, value)]
    if not left:
        return Plan(
            "The radio button is checked and the number is in its field. I submit.", (click(button(page, "Submit")),)
        )
    why = f'Radio button {radio_number} must be checked and text field {box_number} must hold "{value}"; then I submit.'
    return Plan(why, (*left, click(button(page, "Submit"))))
