"""The calls that an agent can make: their description in the prompt, and the parser that reads them back."""

from agentmerge_hub.actions.parsing import ActionError, Call, parse_calls, text_around_calls, written
from agentmerge_hub.actions.primitives import ACTION_SPACES, PRIMITIVES, Primitive, describe, signatures

__all__ = [
    "ACTION_SPACES",
    "PRIMITIVES",
    "ActionError",
    "Call",
    "Primitive",
    "describe",
    "parse_calls",
    "signatures",
    "text_around_calls",
    "written",
]
