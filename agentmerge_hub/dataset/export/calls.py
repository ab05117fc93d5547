"""The calls of a step as objects, as tool-calling formats hold them."""

import math
from typing import Any

from agentmerge_hub.actions import ActionError, parse_calls
from agentmerge_hub.records import Step


def calls_of(step: Step) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments of the calls of a step; none where no call could be read."""
    try:
        return [(call.name, _as_json(call.arguments)) for call in parse_calls(step.action or "")]
    except ActionError:
        return []


def _as_json(value: Any) -> Any:
    """The value with texts for numbers such as 1e999, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
