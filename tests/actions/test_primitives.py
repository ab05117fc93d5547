"""The action space that the prompt shows is the one that BrowserGym takes."""

import pytest

from agentmerge_hub.actions import ACTION_SPACES, PRIMITIVES, describe, parse_calls


def test_signatures_are_browsergyms() -> None:
    highlevel = pytest.importorskip("browsergym.core.action.highlevel")
    subsets = ["chat", "infeas", "bid", "coord", "nav", "tab"]
    actions = highlevel.HighLevelActionSet(subsets=subsets).action_set
    theirs = {name: action.signature for name, action in actions.items()}
    assert {name: primitive.signature for name, primitive in PRIMITIVES.items()} == theirs


def test_action_spaces_are_browsergyms() -> None:
    highlevel = pytest.importorskip("browsergym.core.action.highlevel")
    assert set(ACTION_SPACES["workarena"]) == set(highlevel.HighLevelActionSet(subsets=["chat", "bid"]).action_set)
    assert len(ACTION_SPACES["workarena"]) == 13
    assert set(ACTION_SPACES["all"]) == set(PRIMITIVES)
    for name in ("miniwob_all", "webarena", "visualwebarena", "assistantbench", "weblinx"):
        assert set(ACTION_SPACES[name]) == set(highlevel.HighLevelActionSet(subsets=[name]).action_set)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_example_can_be_read_back(name: str) -> None:
    for example in PRIMITIVES[name].examples:
        (call,) = parse_calls(example)
        assert call.name == name


def test_bids_are_found_by_position_and_by_name() -> None:
    calls = parse_calls("drag_and_drop('a1', to_bid='b2')\nclick('7', button='right')\nfill(bid='c3', value='bid')")
    assert [call.bids for call in calls] == [("a1", "b2"), ("7",), ("c3",)]


def test_description_can_be_brief() -> None:
    brief = describe(("click", "fill"), descriptions=False, examples=False)
    assert len(brief.splitlines()) == 2
    assert "Examples" in describe(("click",))
