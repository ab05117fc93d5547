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


def to_discussion(messages: Iterable[Message]) -> Any:
    """Messages in the class that AgentLab saves and AgentXray shows."""
    from agentlab.llm.llm_utils import BaseMessage, Discussion

    return Discussion([BaseMessage(message["role"], message["content"]) for message in messages])
