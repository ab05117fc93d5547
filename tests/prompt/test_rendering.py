"""Dynamic prompting: the sections of the paper's Figure 5, each under its flag; nothing that was not recorded is shown."""

import pytest
from pydantic import ValidationError

from agentmerge_hub import prompt
from agentmerge_hub.prompt import ADVANCED, BASIC, Flags, Turn, render, split_recorded
from agentmerge_hub.records import Observation

TREE = "RootWebArea 'Catalog'\n\t[a] Iframe 'Main', visible\n\t\t[a251] link 'Hardware', clickable, visible"
PAGE = Observation(
    "Order 6 laptops", TREE, '<a bid="a251">Hardware</a>', "a85", "click('9')", "TimeoutError: gone\nlog"
)
HISTORY = [Turn("click('a1')", "I open the menu."), Turn("click('9')", "I click it.", "TimeoutError: gone\nlog")]


def text(flags: Flags, history=HISTORY) -> str:
    return render(PAGE, history, flags).messages()[-1]["content"]


def test_sections_are_in_the_papers_order() -> None:
    shown = text(Flags(use_html=True))
    headings = [
        "# Instructions",
        "## Goal:\nOrder 6 laptops",
        "# Observation of current step:",
        "## AXTree:\nNote: [bid] is",
        "## HTML:",
        "## Focused element:\nbid='a85'",
        "## Error from previous action:\nTimeoutError",
        "# History of interaction with the task:",
        "## Step 0\n<think>\nI open the menu.",
        "# Action space:",
        "13 different types of actions",
        "# Concrete Example",
        "<action>\nclick('a324')\n</action>",
    ]
    places = [shown.index(heading) for heading in headings]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("off", "absent"),
    [
        ({"use_focused_element": False}, "## Focused element"),
        ({"use_error_logs": False}, "TimeoutError"),
        ({"use_action_history": False}, "<action>\nclick('a1')"),
        ({"use_think_history": False}, "I open the menu."),
        ({"use_action_history": False, "use_think_history": False}, "# History"),
        ({"long_description": False}, "Description:"),
        ({"individual_examples": False}, "Examples:"),
        ({"use_concrete_example": False}, "a324"),
        ({"use_thinking": False}, "dynamic dropdown"),
        ({"extract_visible_tag": False}, 'If the "visible" tag'),
    ],
)
def test_each_flag_removes_its_part(off: dict, absent: str) -> None:
    assert absent in text(Flags())
    assert absent not in text(Flags(**off))


def test_advanced_and_basic_differ_as_in_the_paper() -> None:
    assert "Several actions may be given" in text(ADVANCED) and "<think>" in text(ADVANCED)
    assert "Only a single action" in text(BASIC) and "<think>" not in text(BASIC)


def test_flags_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="use_thinkin"):
        Flags(use_thinkin=True)
    with pytest.raises(ValidationError, match="no action space 'tap'"):
        Flags(action_space="tap")
    with pytest.raises(ValidationError, match="use_plan is not applied here, remove it: an answer holds a thought"):
        Flags(use_plan=True)
    with pytest.raises(ValidationError, match="'center' or 'box'"):
        Flags(extract_coords="both")
    assert Flags(extract_coords=False) == Flags(extract_coords="False") == Flags()
    with pytest.raises(ValidationError, match="has to see the page"):
        Flags(use_ax_tree=False)


def test_recorded_prompt_is_kept_word_for_word() -> None:
    recorded = render(PAGE, HISTORY, Flags(use_html=True)).messages()
    found = split_recorded(recorded, PAGE)
    assert found.messages() == recorded
    assert found.block("axtree") == TREE
    assert found.block("html") == PAGE.html


def test_a_recorded_prompt_that_was_cut_shows_the_page_as_far_as_it_goes() -> None:
    tree = "\n".join(f"[{n}] button 'number {n}'" for n in range(20))
    page = Observation("Press 3", tree)
    cut = "\n".join([*tree.split("\n")[:12], "... (8 more lines cut)"])
    recorded = render(Observation("Press 3", cut), [], Flags()).messages()
    found = split_recorded(recorded, page)
    assert found.messages() == recorded
    assert prompt.page_bids(found) == {str(n) for n in range(12)}
    assert split_recorded(recorded, Observation("Press 3", "another\npage\nof\nfour")).block("axtree") == ""


def test_page_bids_are_those_of_the_page_alone() -> None:
    assert prompt.page_bids(render(PAGE, HISTORY, Flags())) == {"a", "a251"}
    assert prompt.page_bids(render(PAGE, HISTORY, Flags(use_ax_tree=False, use_html=True))) == {"a251"}
    assert prompt.tree_bids("[1] button 'see [2] here'\n  StaticText '[3] no'") == {"1"}


@pytest.mark.parametrize(
    "typed",
    ["one\n\t[99] two", "it's\n\t[99] button 'OK'\n\t[98] two", "the dogs'\n[99] two", 'say "a"\n[99] two', "a, b\n[99] c\n[98] d",
     "x\\'\n[99] two", "'\n[99] two", "a 'b\n[99] c"],
)  # fmt: skip
def test_lines_that_a_user_typed_have_no_bids(typed: str) -> None:
    tree = f"RootWebArea 'Shop'\n\t[12] textbox 'Note' value='{typed}'\n\t[13] button 'Send', clickable"
    assert prompt.tree_bids(tree) == {"12", "13"}
    printed = f"RootWebArea 'Shop'\n\t[12] textbox 'Note' value={typed!r}, focused\n\t[13] button {typed!r}"
    assert prompt.tree_bids(printed) == {"12", "13"}


def test_every_line_of_a_tree_has_its_bid() -> None:
    lines = (
        "RootWebArea \"Ann's\", focused, url='http://a/?b=c'", "\t[a1] generic, live='polite', relevant='additions text'",
        "\t[2] link 'a', box=\"(1,2,3,4)\", clickable", "[3] StaticText'no space '", "[4] spinbutton '' value=3, valuemin=0.5",
        "[5] b 'c' required: False", "[6] a '\\'\"'", "[7] a \"it's\", keyshortcuts='b \"c'", "[8] generic", "", "[9] a 'b' hasPopup: 'menu'",
    )  # fmt: skip
    assert prompt.tree_bids("\n".join(lines)) == {"a1", *"23456789"}


@pytest.mark.parametrize(
    "html",
    ["<!-- <b bid=\"9\"> -->", "<script>'<b bid=\"9\">'</script>", "<style><b bid=\"9\"></style>", "<p title='<b bid=\"9\">'>", "<!-- <b bid=\"9\">",
     "&lt;b bid=\"9\"&gt;", "<p data-bid=\"9\">", "<textarea><b bid=\"9\"></textarea>", "<title><b bid=\"9\">x</title>",
     "<noscript><b bid=\"9\"></noscript>", "<title"],
)  # fmt: skip
def test_html_that_is_no_element_has_no_bids(html: str) -> None:
    assert prompt.html_bids(f'<a bid="1">{html}') == {"1"}
    if not html.endswith(('"9">', "<title")):
        assert prompt.html_bids(f'{html}<a bid="2">') == {"2"}


TAGGED = """RootWebArea 'Form', focused
\t[12] textbox 'Name, visible', clickable, visible, focused, required
\t[13] textbox "it's" value='a, clickable', clickable, visible
\t[14] generic, clickable, visible, live='polite'
\tStaticText 'sold, visible'
\t[a15] spinbutton '' value=3, visible
\t[a16] link 'Go', box="(1,2,3,4)", center="(2,3)", clickable, visible"""
WITHOUT_PLACES = TAGGED.replace(', box="(1,2,3,4)", center="(2,3)"', "")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, WITHOUT_PLACES),
        ({"extract_coords": "box"}, TAGGED.replace(', center="(2,3)"', "")),
        ({"extract_coords": "center"}, TAGGED.replace(', box="(1,2,3,4)"', "")),
        (
            {"extract_visible_tag": False, "extract_clickable_tag": False},
            WITHOUT_PLACES.replace(", clickable, visible", "").replace("=3, visible", "=3"),
        ),
        (
            {"extract_visible_tag": False},
            WITHOUT_PLACES.replace("clickable, visible", "clickable").replace("=3, visible", "=3"),
        ),
        ({"extract_clickable_tag": False}, WITHOUT_PLACES.replace(", clickable, visible", ", visible")),
    ],
)
def test_a_tree_saved_with_more_tags_is_shown_with_those_asked_for(flags: dict, expected: str) -> None:
    assert render(Observation("goal", TAGGED), [], Flags(**flags)).block("axtree") == expected


def test_notes_say_what_the_page_shows() -> None:
    tree = "RootWebArea 'A'\n\t[1] button 'Go', {}visible"
    for coords, place, note in (
        ("center", 'center="(2,3)", ', "Note: center coordinates of elements are provided in parentheses, relative to"),
        ("box", 'box="(1,2,3,4)", ', "Note: bounding boxes of elements (left, top, right, bottom) are provided"),
    ):
        flags = Flags(extract_coords=coords)
        assert note in text_of(Observation("Go", tree.format(place)), flags)
        assert "viewport" not in text_of(Observation("Go", tree.format("")), flags)  # no element has a place
        assert "viewport" not in text_of(Observation("Go", tree.format(place)), Flags())
        assert "viewport" not in text_of(
            Observation("Go", tree.format(place)), Flags(extract_coords=coords, brief_instructions=True)
        )
    page = Observation("Go", tree.format(""), '<b bid="1">Go</b>')
    visible_only = Flags(filter_visible_elements_only=True, use_html=True)
    shown = text_of(page, visible_only)
    assert shown.count("Note: elements with a bid that are not visible in the viewport are left out.") == 2
    assert "## HTML:\nNote: elements" in shown and "## HTML:\n<b" in text_of(page, Flags(use_html=True))


def test_a_brief_action_space_names_required_arguments() -> None:
    shown = text(Flags(action_space="miniwob", brief_action_space=True))
    assert "noop()\nfill(bid, value)\nclick(bid)\nselect_option(bid, options)\npress(bid, key_comb)\n" in shown
    assert "Literal" not in shown


def test_brief_instructions_keep_the_parts_and_lose_their_explanations() -> None:
    brief = Flags(brief_instructions=True, brief_action_space=True)
    shown = text(brief)
    for part in ("## Goal:\nOrder 6 laptops", TREE, "# History", "## Step 0", "click(bid)", "click('a324')\n</action>"):
        assert part in shown
    assert "Note:" not in shown and "make sure to follow" not in shown
    assert len(shown) < len(text(Flags(brief_action_space=True))) - 600
    assert "<think>" not in text(brief.model_copy(update={"use_thinking": False, "use_think_history": False}))


def test_what_was_not_recorded_is_not_shown() -> None:
    tree = "RootWebArea 'Catalog'\n\t[a251] link 'Hardware'"
    for bare in (Observation("Order", tree), Observation("Order", tree, "\n", None, "", " \n", tabs=" ")):
        shown = render(bare, [], Flags(use_html=True, use_tabs=True)).messages()[-1]["content"]
        for absent in ('"visible"', "Focused element", "## HTML", "open tabs", "Error"):
            assert absent not in shown
    nothing_focused = render(Observation("Order", TREE, focused_bid=""), [], Flags()).messages()[-1]["content"]
    assert "## Focused element:\nnone\n" in nothing_focused
    no_tree = render(Observation("Order", html="<p>"), [], Flags(use_html=True)).messages()[-1]["content"]
    assert "AXTree" not in no_tree.split("# Action space")[0] and "## HTML:\n<p>" in no_tree


def test_open_tabs_are_shown_under_their_flag() -> None:
    page = Observation("Order", TREE, tabs="Tab 0 (active tab):\n    Title: Shop\n    URL: http://shop\n")
    assert "## Currently open tabs:\nTab 0 (active tab):" in text_of(page, Flags(use_tabs=True))
    assert "Tab 0" not in text_of(page, Flags())


def text_of(page: Observation, flags: Flags) -> str:
    return render(page, [], flags).messages()[-1]["content"]


def test_a_recorded_prompt_keeps_its_turns() -> None:
    recorded = tuple({"role": role, "content": f"{n}: {TREE}"} for n, role in enumerate(("system", "user", "user")))
    found = split_recorded(recorded, PAGE)
    assert found.messages() == recorded and found.block("axtree") == TREE
    assert found.with_block("axtree", "gone").messages()[1:] == (recorded[1], {"role": "user", "content": "2: gone"})


def test_a_recorded_prompt_with_fewer_tags_shows_the_page() -> None:
    recorded = render(PAGE, [], Flags(extract_visible_tag=False)).messages()
    assert split_recorded(recorded, PAGE).block("axtree") == TREE.replace(", visible", "")


@pytest.mark.parametrize(
    "text", ["\n", "[1] a '", "[1] a '\n", "'", '"\n', "\t", "<a ", '<a "', "<a a", "a", "<a b='", "[1] x, visible\n"]
)
def test_long_pages_are_read_in_linear_time(text: str) -> None:
    page = text * (300_000 // len(text))  # with quadratic work this would not end
    prompt.tree_bids(page)
    prompt.html_bids(page)
    prompt.html_bids(f"<a {page}")
    shown = render(Observation("Order", page, page), [], Flags(use_html=True, extract_visible_tag=False))
    assert split_recorded(shown.messages(), Observation("Order", page, page)).messages() == shown.messages()


def test_only_attributes_of_tags_are_bids() -> None:
    html = """<a bid="1">bid="97"</a><b title='x bid="98"' hidden bid="2"/><c title="a > b" bid="3"><!-- bid="99" -->"""
    assert prompt.html_bids(html) == {"1", "2", "3"}
    assert prompt.html_bids('<textarea bid="1"><a bid="9"></textarea><textarea bid="2"></textarea><a bid="3">') == {
        "1",
        "2",
        "3",
    }


def test_a_line_that_a_user_typed_has_no_bid() -> None:
    tree = "RootWebArea 'Shop'\n\t[12] textbox 'Note' value='first\n\t[99] second'\n\t[13] button \"it's\"\n\t[14] link 'It's'"
    assert prompt.tree_bids(tree) == {"12", "13", "14"}
