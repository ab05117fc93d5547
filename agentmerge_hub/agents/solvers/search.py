"""Search results and completions."""

import re

from agentmerge_hub.agents.axtree import Page
from agentmerge_hub.agents.solver import Plan, button, click, fill, need, nth, press, solves, textbox, words

RESULTS_ON_A_PAGE = 3


@solves("search-engine")
def search_result(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    query, number = words(goal, r'enter "(.*?)" and press "Search", then find and click the (\d+)\w\w search result')
    box = textbox(page)
    go = button(page, "Search")
    results = [link for link in page.all("link") if link.parent and link.parent.role != "listitem"]
    if box.value != query:
        return Plan(f'I search for "{query}".', (fill(box, query), click(go)))
    if not results:
        return Plan(f'The field holds "{query}". I press "Search".', (click(go),))
    # A page is told by its first result's place: the pages that were turned are counted in the past.
    turned = len({call for call in past if call.startswith("click")} - {click(go)})
    place = int(number) - RESULTS_ON_A_PAGE * turned
    if place <= RESULTS_ON_A_PAGE:
        return Plan(
            f"Result {number} is number {place} on this page. I click it.", (click(nth(results, place, "result")),)
        )
    following = need(page.named(">", "link"), "next page")
    return Plan(f"Result {number} is on a later page. I turn the page.", (click(following),))


@solves("use-autocomplete", "use-autocomplete-nodelay")
def completion(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    start, end = re.search(r'starts with "(.*?)"(?: and ends with "(.*?)")?\.', goal).groups()
    box = textbox(page)
    offered = [e for e in page.elements if e.role in ("option", "menuitem", "listitem") and e.bid]
    fits = [e for e in offered if e.text.startswith(start) and e.text.endswith(end or "")]
    if fits:
        return Plan(f'"{fits[0].text}" fits. I choose it.', (click(fits[0]),))
    if len(box.value) > len(start) and box.value.startswith(start) and box.value.endswith(end or ""):
        return Plan(f'The field holds "{box.value}". I submit.', (click(button(page, "Submit")),))
    if box.value == start:
        return Plan("The list is closed. I open it with the arrow key.", (press(box, "ArrowDown"),))
    return Plan(f'I write "{start}" and look at what is offered.', (fill(box, start), press(box, "ArrowDown")))
