"""Columns of results.parquet that a trace decides."""

from agentmerge_hub.agents.study import results
from agentmerge_hub.prompt import EXAMPLE_BID
from agentmerge_hub.records import Observation, Step


def step(index: int, bid: str, axtree: str) -> Step:
    return Step(index, Observation(goal="", axtree=axtree), answer="an answer", action=f"click('{bid}')")


def test_bids_are_compared_with_the_page_only_where_it_was_recorded() -> None:
    page = "RootWebArea 'x'\n\t[12] button 'Send'"
    on_page = results._bid_columns([step(0, "12", page), step(1, "13", page), step(2, EXAMPLE_BID, page)])
    assert list(on_page.values()) == [1, 1, False, 2]
    screenshots = results._bid_columns([step(0, EXAMPLE_BID, ""), step(1, "12", "")])
    assert list(screenshots.values()) == [1, None, True, None]
