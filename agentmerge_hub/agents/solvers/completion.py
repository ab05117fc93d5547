"""Autocomplete fields. search-engine has no solver: its results are links to `#`, and BrowserGym ends a task whose address
changes before it reads the reward."""

from agentmerge_hub.agents.solvers.axtree import Page
from agentmerge_hub.agents.solvers.solver import Plan, button, click, fill, press, solves, textbox, words


@solves("use-autocomplete", "use-autocomplete-nodelay")
def completion(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    start, end = words(goal, r'starts with "(.*?)"(?: and ends with "(.*?)")?\.')
    box = textbox(page)
    offered = [e for e in page.elements if e.role in ("option", "menuitem", "listitem") and e.bid]
    chosen = bool(past) and past[-1].startswith("click(")  # an item may be no longer than its start
    fits = [e for e in offered if e.text.startswith(start) and e.text.endswith(end or "")]
    if fits:
        return Plan(f'"{fits[0].text}" fits. I choose it.', (click(fits[0]),))
    if (chosen or len(box.value) > len(start)) and box.value.startswith(start) and box.value.endswith(end or ""):
        return Plan(f'The field holds "{box.value}". I submit.', (click(button(page, "Submit")),))
    if box.value == start:
        return Plan("The list is closed. I open it with the arrow key.", (press(box, "ArrowDown"),))
    return Plan(f'I write "{start}" and look at what is offered.', (fill(box, start), press(box, "ArrowDown")))
