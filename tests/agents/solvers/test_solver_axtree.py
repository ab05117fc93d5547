"""Elements are read from the tree's text as BrowserGym wrote them."""

from agentmerge_hub.agents.solvers.axtree import Page

TREE = """RootWebArea 'A task', focused, url='miniwob/a.html'
\t[14] textbox '' value="it's, well", focused
\t[16] generic, clickable
\t\t[21] radio 'P\\'s', checked='false'
\t\tStaticText 'line\\nbreak'
\t[15] button "Don't", visible, expanded=True
... (3 more lines cut)"""


def test_names_values_and_states() -> None:
    page = Page.read(TREE)
    assert [element.bid for element in page.elements] == ["", "14", "16", "21", "", "15"]
    box, generic, radio, text, button = page.elements[1:]
    assert (box.value, box.is_("focused")) == ("it's, well", True)
    assert (radio.name, radio.is_("checked")) == ("P's", False)
    assert text.name == "line\nbreak"
    assert button.name == "Don't" and button.is_("expanded") and button.is_("visible")
    assert generic.children == [radio, text] and radio.parent is generic


def test_finding_by_name_prefers_the_exact_one() -> None:
    page = Page.read("RootWebArea 'x'\n\t[1] button 'OK'\n\t[2] button 'ok'\n\t[3] link 'ok'")
    assert page.named("ok").bid == "2"
    assert page.named("ok", "link").bid == "3"
    assert page.named("Ok", "button").bid == "1"
    assert page.named("no") is None
