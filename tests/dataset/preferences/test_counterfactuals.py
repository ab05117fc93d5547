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


def made(step: SolvedStep) -> dict[str, str]:
    return {one.origin: one.answer for one in counterfactuals(step, key="episode/0")}


def test_without_thought_another_button_and_the_copied_example() -> None:
    assert made(SolvedStep(PAGE, "click('10')", None)) == {
        "other_element": answer("click('11')"),
        "copied_example": answer("click('a324')"),
    }


def test_with_thought_the_thought_is_contradicted_or_missing() -> None:
    assert made(SolvedStep(PAGE, "click('10')", "I press Send.")) == {
        "contradicts_thought": answer("click('11')", "I press Send."),
        "copied_example": answer("click('a324')", "I press Send."),
        "missing_thought": answer("click('10')"),
    }


def test_an_element_that_looks_the_same_is_not_worse() -> None:
    twins = "\t[10] button 'Send', visible\n\t[13] button 'Send', visible"
    assert "other_element" not in made(SolvedStep(twins, "click('10')", None))


def test_an_action_that_failed_is_not_to_be_repeated() -> None:
    assert made(SolvedStep(PAGE, "click('10')", None, "click('12')"))["repeated_action"] == answer("click('12')")
    assert "repeated_action" not in made(SolvedStep(PAGE, "click('10')", None, "click('10')"))


def test_the_example_is_no_copy_where_its_element_is_on_the_page() -> None:
    page = PAGE + "\n\t[a324] button 'More', visible"
    assert "copied_example" not in made(SolvedStep(page, "click('10')", None))


@pytest.mark.parametrize("action", ["fill('12', '10')", "noop()\nclick('10')", 'click("10", button="left")'])
def test_only_the_element_changes(action: str) -> None:
    page = PAGE + "\n\t[14] textbox 'Cc', visible"
    other = made(SolvedStep(page, action, None))["other_element"]
    changed, right = parse_calls(other.split("\n", 1)[1].rsplit("\n", 1)[0]), parse_calls(action)
    assert [call.name for call in changed] == [call.name for call in right]
    assert {bid for call in changed for bid in call.bids} <= tree_bids(page)
    assert changed != right and [call.arguments.get("value") for call in changed] == [
        call.arguments.get("value") for call in right
    ]
