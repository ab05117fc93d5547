"""The calls of a step as objects, as tool-calling formats hold them."""

from typing import Any

from agentmerge_hub.actions import ActionError, parse_calls
from agentmerge_hub.records import Step


def calls_of(step: Step) -> list[tuple[str, dict[str, Any]]]:
    """Names and arguments of the calls of a step; none where no call could be read."""
    try:
        return [(call.name, dict(call.arguments)) for call in parse_calls(step.action or "")]
    except ActionError:
        return []
