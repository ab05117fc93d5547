"""The history shows each turn with the error that it caused."""

from agentmerge_hub.agents.history import History
from agentmerge_hub.prompt import Turn


def test_an_error_belongs_to_the_turn_before() -> None:
    history = History()
    history.record_error("no turn yet")
    history.add("click('1')", "first")
    history.record_error("Error: gone")
    history.add("click('2')", None)
    history.record_error("")
    assert history.turns == [Turn("click('1')", "first", "Error: gone"), Turn("click('2')", None, "")]
