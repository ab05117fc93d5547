"""Tables and forms: look a value up, write it where it belongs."""

from agentmerge_hub.agents.solvers.axtree import Element, Page
from agentmerge_hub.agents.solvers.solver import (
    Plan,
    Unsolved,
    button,
    click,
    fill,
    need,
    nth,
    solves,
    textbox,
    words,
    write_and_submit,
)


def _table(page: Page) -> dict[str, str]:
    """The rows of two cells: label → value."""
    rows = ([cell.text for cell in row.children if cell.role == "cell"] for row in page.all("row"))
    return {cells[0]: cells[1] for cells in rows if len(cells) == 2}


@solves("read-table")
def look_up(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (label,) = words(goal, r"Enter the value of (.*?) into")
    value = _table(page).get(label)
    if value is None:
        raise Unsolved(f"the table has no {label!r}")
    return write_and_submit(textbox(page), value, button(page, "Submit"), f'The table says {label}: "{value}".')


@solves("read-table-2")
def look_up_two(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    labels = [label.text.rstrip(":") for label in page.all("LabelText")]
    values = [_table(page).get(label, "") for label in labels]
    return _fill_all(page, dict(zip(labels, values)), button(page, "Submit"))


def _fill_all(page: Page, fields: dict[str, str], submit: Element) -> Plan:
    """Fill the text fields in the order of the values, then click the button."""
    boxes = page.all("textbox")
    pairs = [(nth(boxes, n, "text field"), value) for n, value in enumerate(fields.values(), 1)]
    left = [fill(box, value) for box, value in pairs if box.value != value]
    if not left:
        return Plan(f'Every field is filled. I press "{submit.name}".', (click(submit),))
    values = ", ".join(f'{label}: "{value}"' for label, value in fields.items())
    return Plan(f'The fields must hold {values}; then I press "{submit.name}".', (*left, click(submit)))


@solves("phone-book")
def contact(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    name, what = words(goal, r"Find (.*?) in the contact book and click on their (.*?)\.")
    heading = nth(page.all("heading"), 1, "contact")
    if heading.name != name:
        following = need(page.named(">", "link"), "next page")
        return Plan(f"This is {heading.name}, not {name}. I go to the next one.", (click(following),))
    links = page.all("link")
    order = ("phone", "email", "address")
    place = next((n for n, word in enumerate(order, 1) if word in what), 0)
    return Plan(f"This is {name}. I click the {what}.", (click(nth(links, place, what)),))
