"""Flags of one prompt, and those that many prompts share: a model is evaluated with the flags that it was trained with."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from agentmerge_hub.actions import ACTION_SPACES
from agentmerge_hub.prompt import Flags
from agentmerge_hub.prompt.flags import Coordinates
from agentmerge_hub.records import Observation
from agentmerge_hub.traces.values import as_dict

_TEXTS = {"action_space": tuple(ACTION_SPACES), "extract_coords": get_args(get_args(Coordinates)[0])}
"""Flags whose values are texts; those of all others are true or false."""


def rendered_flags(flags: Flags, page: Observation) -> dict[str, Any]:
    """The flags of a rendered prompt: off for what the page does not have. Without open tabs it is the same whatever use_tabs is,
    which is then left out."""
    found = flags.model_dump()
    found["use_ax_tree"] &= bool(page.axtree)
    found["use_html"] &= bool(page.html)
    found["use_focused_element"] &= page.focused_bid is not None
    return found if page.tabs else {name: value for name, value in found.items() if name != "use_tabs"}


def recorded_flags(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Flags` that the flags of a trace's agent set. AgentLab nests them under ``obs`` and ``action``."""
    action = as_dict(recorded.get("action"))
    found = {**recorded, **as_dict(recorded.get("obs")), **action}
    if found.get("multi_actions") is None:
        found["multi_actions"] = as_dict(action.get("action_set")).get("multiaction")
    if found.get("use_history") is False:
        found |= {"use_action_history": False, "use_think_history": False}
    return {name: found[name] for name in Flags.model_fields if _is_value(name, found.get(name))}


def _is_value(name: str, value: Any) -> bool:
    return value in _TEXTS[name] if name in _TEXTS else isinstance(value, bool)


def shared_flags(prompts: Iterable[str]) -> dict[str, Any]:
    """What the flags of prompts, each as JSON, have in common.

    Returns:
        ``shared``, the flags with their values; and ``different``, the names of those that differ or that not all record.
    """
    each = [json.loads(flags) for flags in set(prompts)]
    names = sorted({name for flags in each for name in flags})
    different = [name for name in names if len({flags.get(name) for flags in each}) > 1]
    return {"shared": {name: each[0][name] for name in names if name not in different}, "different": different}
