"""Dates and times: typed fields and calendars."""

from datetime import date

from agentmerge_hub.agents.solvers.axtree import Page
from agentmerge_hub.agents.solvers.solver import (
    Plan,
    Unsolved,
    button,
    click,
    need,
    nth,
    solves,
    textbox,
    words,
    write_and_submit,
)

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


@solves("enter-date")
def typed_date(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    month, day, year = words(goal, r"Enter (\d+)/(\d+)/(\d+) as the date")
    box = nth(page.all("Date"), 1, "date field")
    return write_and_submit(box, f"{year}-{month}-{day}", button(page, "Submit"), "A date field takes year-month-day.")


@solves("enter-time")
def typed_time(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    hour, minute, half = words(goal, r"Enter (\d+):(\d+) ([AP]M) as the time")
    value = f"{int(hour) % 12 + (12 if half == 'PM' else 0):02}:{minute}"
    box = nth(page.all("InputTime"), 1, "time field")
    return write_and_submit(box, value, button(page, "Submit"), "A time field takes 24 hours.")


@solves("choose-date", "choose-date-easy", "choose-date-medium", "choose-date-nodelay")
def calendar(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    month, day, year = map(int, words(goal, r"Select (\d+)/(\d+)/(\d+) as the date"))
    box = textbox(page)
    if box.value == f"{month:02}/{day:02}/{year}":
        return Plan(f"The field holds {box.value}. I submit.", (click(button(page, "Submit")),))
    texts = page.texts
    shown = next((text for text in texts if text in _MONTHS), None)
    if shown is None:
        return Plan("The calendar is closed. I click the field to open it.", (click(box),))
    year_shown = next((int(text) for text in texts if text.isdigit() and len(text) == 4), year)
    months = (date(year, month, 1).year - year_shown) * 12 + month - 1 - _MONTHS.index(shown)
    if months:
        name = "Next" if months > 0 else "Prev"
        arrow = need(page.named(name, "link", "button", "generic"), f"arrow {name!r}")
        return Plan(
            f"The calendar shows {shown} {year_shown}; the month is {_MONTHS[month - 1]}. I go on.", (click(arrow),)
        )
    found = page.named(str(day), "link")
    if found is None:
        raise Unsolved(f"the calendar has no day {day}")
    return Plan(f"The calendar shows {shown} {year_shown}. I choose day {day}.", (click(found),))
