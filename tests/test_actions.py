"""The action space: what is shown is what BrowserGym takes, and what is written is read back."""

import pytest

from agentmerge_hub.actions import ACTION_SPACES, PRIMITIVES, describe, parse_calls


def test_signatures_are_browsergyms() -> None:
    highlevel = pytest.importorskip("browsergym.core.action.highlevel")
    subsets = ["chat", "infeas", "bid", "coord", "nav", "tab"]
    actions = highlevel.HighLevelActionSet(subsets=subsets).action_set
    theirs = {name: action.signature for name, action in actions.items()}
    for name, primitive in PRIMITIVES.items():
        assert primitive.signature == theirs[name]


def test_the_papers_action_space_is_browsergyms_chat_and_bid() -> None:
    highlevel = pytest.importorskip("browsergym.core.action.highlevel")
    assert set(ACTION_SPACES["workarena"]) == set(highlevel.HighLevelActionSet(subsets=["chat", "bid"]).action_set)
    assert len(ACTION_SPACES["workarena"]) == 13
    assert set(ACTION_SPACES["miniwob_all"]) == set(highlevel.HighLevelActionSet(subsets=["miniwob_all"]).action_set)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_example_can_be_read_back(name: str) -> None:
    for example in PRIMITIVES[name].examples:
        (call,) = parse_calls(example)
        assert call.name == name


def test_bids_are_found_by_position_and_by_name() -> None:
    calls = parse_calls("drag_and_drop('a1', to_bid='b2')\nclick('7', button='right')\nfill(bid='c3', value='bid')")
    assert [call.bids for call in calls] == [("a1", "b2"), ("7",), ("c3",)]


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("click(a51)", "plain strings"),
        ("tap('1')", "'tap' is not an action"),
        ("click('1', 'left', [], 4)", "at most 3"),
        ("click('1', times=2)", "no argument 'times'"),
        ("x = 1", "not a function call"),
        ("click('1'", "not a function call"),
        ("", "there is no action"),
        ("__import__('os').system('true')", "not a function call"),
        ("(" * 5000, "not a function call"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(action: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_calls(action)


def test_description_can_be_brief() -> None:
    brief = describe(("click", "fill"), descriptions=False, examples=False)
    assert len(brief.splitlines()) == 2
    assert "Examples" in describe(("click",))
