"""Counterfactual answers are plausible and worse."""

import pytest

from agentmerge_hub.actions import parse_calls
from agentmerge_hub.dataset.preferences.counterfactuals import SolvedStep, counterfactuals
from agentmerge_hub.prompt import answer, tree_bids

PAGE = """RootWebArea 'Mail', focused
\t[10] button 'Send', clickable, visible
\t[11] button 'Cancel', clickable, visible
\t[12] textbox 'To', clickable, visible
\t[13] button 'Send', clickable, visible"""


def made(page: str, action: str, thought: str | None = None, failed_action: str = "") -> dict[str, str]:
    step = SolvedStep(page, frozenset(tree_bids(page)), action, thought, failed_action)
    return {one.origin: one.answer for one in counterfactuals(step, key="episode/0")}


def bid_of(answered: str) -> str:
    (call,) = parse_calls(answered.split("<action>\n")[1].split("\n</action>")[0])
    return call.bids[0]


def test_without_thought_another_button_and_the_copied_example() -> None:
    found = made(PAGE, "click('10')")
    assert found == {
        "other_element": answer("click('11')"),
        "invalid_bid": found["invalid_bid"],
        "copied_example": answer("click('a324')"),
    }


def test_with_thought_the_thought_is_contradicted_or_missing() -> None:
    found = made(PAGE, "click('10')", "I press Send.")
    assert found == {
        "contradicts_thought": answer("click('11')", "I press Send."),
        "invalid_bid": found["invalid_bid"],
        "copied_example": answer("click('a324')", "I press Send."),
        "missing_thought": answer("click('10')"),
    }


def test_an_element_that_looks_the_same_is_not_worse() -> None:
    twins = "\t[10] button 'Send', visible\n\t[13] button 'Send', visible"
    assert "other_element" not in made(twins, "click('10')")
    placed = twins.replace("'Send'", "'Send', box=\"(1,2,3,4)\"", 1).replace(
        "'Send', v", "'Send', box=\"(1,9,3,11)\", v"
    )
    assert placed.count("box=") == 2 and "other_element" not in made(placed, "click('10')")


def test_an_action_that_failed_is_not_to_be_repeated() -> None:
    assert made(PAGE, "click('10')", failed_action="click('12')")["repeated_action"] == answer("click('12')")
    assert "repeated_action" not in made(PAGE, "click('10')", failed_action="click('10')")


def test_the_example_is_no_copy_where_its_element_is_on_the_page() -> None:
    page = PAGE + "\n\t[a324] button 'More', visible"
    assert "copied_example" not in made(page, "click('10')")


@pytest.mark.parametrize("prefix", ["", "a"])
def test_an_invalid_bid_has_the_form_of_the_right_one_and_is_not_on_the_whole_page(prefix: str) -> None:
    shown = f"\t[{prefix}10] button 'Send', visible"
    # Of the numbers from 0 to 30 the whole page has all but 17; the prompt shows one of them.
    whole = frozenset(f"{prefix}{number}" for number in range(31) if number != 17)
    seen = set()
    for number in range(40):
        step = SolvedStep(shown, whole, f"click('{prefix}10')", None)
        (one,) = [found for found in counterfactuals(step, key=f"episode/{number}") if found.origin == "invalid_bid"]
        seen.add(bid_of(one.answer))
    assert f"{prefix}17" in seen and not seen & whole
    assert all(bid.startswith(prefix) and bid[len(prefix) :].isdigit() for bid in seen)
    assert "invalid_bid" not in made(shown, "noop()")


@pytest.mark.parametrize("action", ["fill('12', '10')", "noop()\nclick('10')", 'click("10", button="left")'])
def test_only_the_element_changes(action: str) -> None:
    page = PAGE + "\n\t[14] textbox 'Cc', visible"
    other = made(page, action)["other_element"]
    changed, right = parse_calls(other.split("\n", 1)[1].rsplit("\n", 1)[0]), parse_calls(action)
    assert [call.name for call in changed] == [call.name for call in right]
    assert {bid for call in changed for bid in call.bids} <= tree_bids(page)
    assert changed != right and [call.arguments.get("value") for call in changed] == [
        call.arguments.get("value") for call in right
    ]
