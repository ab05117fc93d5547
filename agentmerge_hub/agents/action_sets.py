"""BrowserGym action sets for the action spaces of `agentmerge_hub.actions`."""

from functools import cache

from agentmerge_hub.actions import ACTION_SPACES
from agentmerge_hub.agents.browser.agentlab_api import HighLevelActionSet, functions


@cache
def make_action_set(name: str, multi_actions: bool) -> HighLevelActionSet:
    """The executor of one action space. As in BrowserGym's benchmarks, a click on a covered element is forced."""
    calls = [getattr(functions, call) for call in ACTION_SPACES[name]]
    return HighLevelActionSet(
        subsets=["custom"], custom_actions=calls, multiaction=multi_actions, strict=False, retry_with_force=True
    )
