"""The past turns of an episode, and messages in the class that AgentLab saves."""

from collections.abc import Iterable
from typing import Any

from agentmerge_hub.prompt import Turn
from agentmerge_hub.records import Message


class History:
    """Past turns, oldest first. The error of a turn is known only with the next observation."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def record_error(self, error: str) -> None:
        """Add the error that the last action caused, if any."""
        if self.turns and error:
            last = self.turns[-1]
            self.turns[-1] = Turn(last.action, last.thought, error)

    def add(self, action: str, thought: str | None) -> None:
        self.turns.append(Turn(action, thought))


def to_discussion(messages: Iterable[Message], picture: str = "") -> Any:
    """Messages in the class that AgentLab saves and AgentXray shows.

    Args:
        picture: name of the file whose picture was the beginning of the first user turn; the trace holds it once.
    """
    from agentlab.llm.llm_utils import BaseMessage, Discussion

    shown = with_picture(messages, picture) if picture else messages
    return Discussion([BaseMessage(message["role"], message["content"]) for message in shown])


def with_picture(messages: Iterable[Message], url: str) -> list[dict[str, Any]]:
    """Messages whose first user turn begins with a picture, as the OpenAI API takes them."""
    shown: list[dict[str, Any]] = [dict(message) for message in messages]
    first = next(message for message in shown if message["role"] == "user")
    image = {"type": "image_url", "image_url": {"url": url}}
    first["content"] = [image, {"type": "text", "text": first["content"]}]
    return shown
