"""The names of AgentLab and BrowserGym that this package uses, imported after `environment.prepare`.

Other modules import them from here, so that none imports them before the environment is prepared.
"""

from agentmerge_hub.agents.browser import environment

environment.prepare()

from agentlab.agents.agent_args import AgentArgs  # noqa: E402
from agentlab.experiments import loop  # noqa: E402
from agentlab.experiments.loop import EnvArgs, ExpArgs, StepInfo  # noqa: E402
from agentlab.experiments.study import Study  # noqa: E402
from bgym import DEFAULT_BENCHMARKS, Benchmark  # noqa: E402
from browsergym.core import _get_global_playwright as global_playwright  # noqa: E402
from browsergym.core import env, observation  # noqa: E402
from browsergym.core.action import functions  # noqa: E402
from browsergym.core.action.highlevel import HighLevelActionSet  # noqa: E402
from browsergym.experiments.agent import Agent, AgentInfo  # noqa: E402
from browsergym.utils.obs import flatten_axtree_to_str, flatten_dom_to_str, overlay_som, prune_html  # noqa: E402
from playwright._impl import _connection as playwright_connection  # noqa: E402
from playwright._impl import _sync_base as playwright_sync  # noqa: E402

__all__ = [
    "DEFAULT_BENCHMARKS",
    "Agent",
    "AgentArgs",
    "AgentInfo",
    "Benchmark",
    "EnvArgs",
    "ExpArgs",
    "HighLevelActionSet",
    "StepInfo",
    "Study",
    "env",
    "flatten_axtree_to_str",
    "flatten_dom_to_str",
    "functions",
    "global_playwright",
    "loop",
    "observation",
    "overlay_som",
    "playwright_connection",
    "playwright_sync",
    "prune_html",
]
