"""What our agents share: how BrowserGym's observation becomes ours, which calls the browser takes, what a trace keeps."""

import os
from functools import cache
from typing import Any

from agentmerge_hub.actions import ACTION_SPACES
from agentmerge_hub.agents.lab import (
    HighLevelActionSet,
    flatten_axtree_to_str,
    flatten_dom_to_str,
    functions,
    prune_html,
)
from agentmerge_hub.prompt import Flags, Turn
from agentmerge_hub.records import Message, Observation


@cache
def action_set(name: str, multi_actions: bool) -> HighLevelActionSet:
    """BrowserGym's executor for one of our action spaces; a click that is covered is forced, as in its benchmarks."""
    calls = [getattr(functions, call) for call in ACTION_SPACES[name]]
    return HighLevelActionSet(
        subsets=["custom"], custom_actions=calls, multiaction=multi_actions, strict=False, retry_with_force=True
    )


def flatten(obs: dict[str, Any], flags: Flags) -> dict[str, Any]:
    """BrowserGym's observation with the page as text; the raw trees, which nobody reads again, are left out."""
    kept = {name: value for name, value in obs.items() if name not in _RAW}
    properties = obs["extra_element_properties"]
    kept["axtree_txt"] = flatten_axtree_to_str(
        obs["axtree_object"],
        properties,
        with_visible=flags.extract_visible_tag,
        with_clickable=flags.extract_clickable_tag,
    )
    if flags.use_html:
        kept["pruned_html"] = prune_html(
            flatten_dom_to_str(
                obs["dom_object"],
                properties,
                with_visible=flags.extract_visible_tag,
                with_clickable=flags.extract_clickable_tag,
            )
        )
    return {name: _without_pages_folder(value) for name, value in kept.items()}


def _without_pages_folder(value: Any) -> Any:
    """MiniWoB's pages lie in a folder of this machine, whose path has no place in a prompt or a trace: what is left is
    ``miniwob/click-test.html``, however they are served."""
    if isinstance(value, str):
        return value.replace(os.environ["MINIWOB_URL"].removesuffix("miniwob/"), "")
    if isinstance(value, tuple):
        return tuple(_without_pages_folder(item) for item in value)
    return value


_RAW = ("axtree_object", "dom_object", "extra_element_properties")


def observe(obs: dict[str, Any]) -> Observation:
    """The flattened observation as the prompt takes it."""
    goal = obs.get("goal_object") or ()
    texts = [message["text"] for message in goal if message.get("type") == "text"]
    titles = obs.get("open_pages_titles") or ("",)
    return Observation(
        goal="\n".join(texts) if texts else obs.get("goal", ""),
        axtree=obs.get("axtree_txt", ""),
        html=obs.get("pruned_html", ""),
        focused_bid=obs.get("focused_element_bid", ""),
        last_action=obs.get("last_action", ""),
        last_action_error=obs.get("last_action_error", ""),
        url=obs.get("url", ""),
        title=titles[int(obs["active_page_index"][0])] if "active_page_index" in obs else "",
    )


class History:
    """The turns so far; the error of a turn is known only with the next observation."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def see(self, error: str) -> None:
        """Note what the last action came to."""
        if self.turns and error:
            last = self.turns[-1]
            self.turns[-1] = Turn(last.action, last.thought, error)

    def add(self, action: str, thought: str | None) -> None:
        self.turns.append(Turn(action, thought))


def discussion(messages: list[Message]) -> Any:
    """Messages in the class that AgentLab saves and AgentXray shows."""
    from agentlab.llm.llm_utils import BaseMessage, Discussion

    return Discussion([BaseMessage(message["role"], message["content"]) for message in messages])
