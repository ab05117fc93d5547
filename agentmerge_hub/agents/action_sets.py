"""BrowserGym action sets for the action spaces of `agentmerge_hub.actions`, and which of them a benchmark needs."""

from functools import cache

from agentmerge_hub.actions import ACTION_SPACES
from agentmerge_hub.agents.browser.agentlab_api import Benchmark, HighLevelActionSet, functions

LARGEST = "all"

_CHAT = ("send_msg_to_user", "report_infeasible")
_TABS = ("tab_focus", "new_tab", "tab_close")


@cache
def make_action_set(name: str, multi_actions: bool) -> HighLevelActionSet:
    """The executor of one action space. As in BrowserGym's benchmarks, a click on a covered element is forced."""
    calls = [getattr(functions, call) for call in ACTION_SPACES[name]]
    return HighLevelActionSet(
        subsets=["custom"], custom_actions=calls, multiaction=multi_actions, strict=False, retry_with_force=True
    )


def default_action_space(benchmark: Benchmark) -> str:
    """The smallest action space with every call of the benchmark's own set; the largest one if none has them all."""
    needed = _calls_of(benchmark)
    fitting = [name for name, calls in ACTION_SPACES.items() if needed <= set(calls)]
    return min(fitting, key=lambda name: len(ACTION_SPACES[name]), default=LARGEST)


def lacking_calls(benchmark: Benchmark, action_space: str) -> list[str]:
    """Calls without which tasks of the benchmark cannot be answered: messages, infeasibility reports, tabs, navigation."""
    lacking = _calls_of(benchmark) - set(ACTION_SPACES[action_space])
    return [name for name in (*_CHAT, *_TABS, "goto", "go_back", "go_forward") if name in lacking]


def _calls_of(benchmark: Benchmark) -> frozenset[str]:
    return _calls_of_subsets(benchmark.high_level_action_set_args.subsets)


@cache
def _calls_of_subsets(subsets: tuple[str, ...]) -> frozenset[str]:
    """BrowserGym parses the source of each call, which takes a second."""
    return frozenset(HighLevelActionSet(subsets=subsets).action_set)
