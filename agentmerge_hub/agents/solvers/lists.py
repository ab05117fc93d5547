"""Lists and drop-downs."""

from agentmerge_hub.agents.solvers.axtree import Page
from agentmerge_hub.agents.solvers.solver import Plan, button, click, nth, select, solves, words


@solves("choose-list")
def drop_down(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    (name,) = words(goal, r"Select (.*) from the list and click Submit")
    box = nth(page.all("combobox"), 1, "list")
    submit = click(button(page, "Submit"))
    if box.value == name:
        return Plan(f'The list shows "{name}". I submit.', (submit,))
    return Plan(f'The list must show "{name}", then I submit.', (select(box, name), submit))


@solves("click-scroll-list")
def scroll_list(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    names = words(goal, r"Select (.*) from the scroll list and click Submit")[0].split(", ")
    box = nth(page.all("listbox"), 1, "list")
    submit = click(button(page, "Submit"))
    if {option.name for option in page.all("option") if option.is_("selected")} == set(names):
        return Plan("What the goal names is selected. I submit.", (submit,))
    names_text = ", ".join(f'"{name}"' for name in names)
    chosen = select(box, names[0]) if len(names) == 1 else f"select_option({box.bid!r}, {names!r})"
    return Plan(f"To select: {names_text}; then I submit.", (chosen, submit))


@solves("form-sequence-3")
def drop_down_and_button(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    name, label = words(goal, r'Choose (.*?) from the dropdown, then click the button labeled "(.*?)"')
    box = nth(page.all("combobox"), 1, "drop-down")
    target = click(button(page, label))
    if box.value == name:
        return Plan(f'The drop-down shows "{name}". I click "{label}".', (target,))
    return Plan(f'The drop-down must show "{name}", then I click "{label}".', (select(box, name), target))
