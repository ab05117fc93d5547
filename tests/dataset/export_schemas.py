"""Schemas of export formats that no package publishes, transcribed as pydantic models.

- The Agent Data Protocol's standard 1.2.0: ``schema/`` of its repository neulab/agent-data-protocol, whose models are pydantic
  too. Each forbids unknown fields.
- Session traces: the tables of the Hub's page "Session Traces Format". Only the header may have fields of other names.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Observation(Strict):
    reward: float | None = None


class Action(Strict):
    reasoning_content: str | None = None
    reward: float | None = None
    description: str | None = None


class ApiAction(Action):
    class_: Literal["api_action"]
    function: str
    kwargs: dict[str, Any]


class CodeAction(Action):
    class_: Literal["code_action"]
    language: str
    content: str


class MessageAction(Action):
    class_: Literal["message_action"]
    content: str


class TextObservation(Observation):
    class_: Literal["text_observation"]
    content: str
    name: str | None = None
    source: Literal["user", "agent", "environment"]


class WebObservation(Observation):
    class_: Literal["web_observation"]
    html: str | None
    axtree: str | None
    url: str | None
    image_observation: dict[str, Any] | None
    viewport_size: tuple[int, int] | None


class Trajectory(Strict):
    schema_version: Literal["1.2.0", "1.1.0", "1.0.0"]
    id: str
    content: list[
        Annotated[
            ApiAction | CodeAction | MessageAction | TextObservation | WebObservation, Field(discriminator="class_")
        ]
    ]
    available_apis: list[str] | None = None
    details: dict[str, Any] = {}


class Header(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    type: Literal["session"]
    harness: str
    id: str
    name: str | None = None


class Function(Strict):
    name: str
    arguments: str

    @field_validator("arguments")
    def is_json(cls, value: str) -> str:
        assert isinstance(json.loads(value), dict)
        return value


class ToolCall(Strict):
    id: str
    function: Function


class Message(Strict):
    role: Literal["user", "assistant", "system", "tool"]
    content: str
    reasoningContent: str | None = None
    toolCalls: list[ToolCall] = []
    toolCallId: str | None = None
    timestamp: int | None = None
    model: str | None = None

    @model_validator(mode="after")
    def fields_of_the_role(self) -> "Message":
        assert self.role == "assistant" or not (self.toolCalls or self.reasoningContent)
        assert (self.toolCallId is not None) == (self.role == "tool")
        return self


class Line(Strict):
    type: Literal["message"]
    message: Message


def check_session(lines: list[dict[str, Any]]) -> list[Message]:
    """The messages of a session trace, whose tool results must link to an earlier call."""
    Header.model_validate(lines[0])
    messages = [line.message for line in TypeAdapter(list[Line]).validate_python(lines[1:])]
    calls: set[str] = set()
    for message in messages:
        assert message.toolCallId is None or message.toolCallId in calls
        calls |= {call.id for call in message.toolCalls}
    return messages
