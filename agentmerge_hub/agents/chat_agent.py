"""The chat agent for collecting and evaluating: observation → prompt → endpoint → answer → action.

It renders with `prompt.py` and trims with `fit.py`, as the dataset does, so that a model gets the prompts it was trained on.
The endpoint's address and key come from the environment and are never saved.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from agentmerge_hub.agents import history, observations
from agentmerge_hub.agents.action_sets import make_action_set
from agentmerge_hub.agents.browser.agentlab_api import Agent, AgentArgs, AgentInfo
from agentmerge_hub.agents.serving import endpoint
from agentmerge_hub.fit import DoesNotFit, Window, fit
from agentmerge_hub.prompt import Answer, Flags, ParseError, Prompt, parse, render
from agentmerge_hub.records import Message
from agentmerge_hub.tokenizer import ChatTokenizer


@dataclass
class ChatAgentArgs(AgentArgs):
    """Arguments of the agent. AgentLab pickles them with every episode, so they hold no address and no key."""

    agent_name: str = ""
    model: str = ""
    """Model name in the requests: the endpoint's name for it, or the local folder that is served."""
    flags: dict[str, Any] = field(default_factory=dict)
    """Fields of prompt.Flags."""
    tokenizer: str = ""
    window: int = 8192
    answer: int = 1024
    temperature: float = 0.0
    max_retry: int = 4

    def prepare(self) -> None:
        """Load the tokenizer once, before the workers fork."""
        _tokenizer(self.tokenizer)

    def make_agent(self) -> "ChatAgent":
        return ChatAgent(self)


class ChatAgent(Agent):
    """One episode of the agent."""

    def __init__(self, args: ChatAgentArgs) -> None:
        self.args = args
        self.flags = Flags(**args.flags)
        self.window = Window(args.window, args.answer)
        self.action_set = make_action_set(self.flags.action_space, self.flags.multi_actions)
        self.tokenizer = _tokenizer(args.tokenizer)
        self.history = history.History()

    def obs_preprocessor(self, obs: dict) -> dict:
        return observations.flatten(obs, self.flags)

    def get_action(self, obs: dict) -> tuple[str | None, AgentInfo]:
        observation = observations.to_observation(obs)
        self.history.record_error(observation.last_action_error)
        exchange = self._exchange(render(observation, self.history.turns, self.flags))
        if exchange.answer:
            self.history.add(exchange.answer.action, exchange.answer.thought)
        info = AgentInfo(
            think=exchange.answer.thought if exchange.answer else None,
            chat_messages=history.to_discussion(exchange.messages),
            stats={
                "n_retry": exchange.retries,
                "busted_retry": int(exchange.answer is None),
                "input_tokens": exchange.prompt_tokens,
                "output_tokens": exchange.completion_tokens,
            },
            extra_info={
                "model": self.args.model,
                "flags": self.flags.model_dump(),
                "window": self.window.total,
                "answer": self.window.answer,
                "lines_cut": exchange.lines_cut,
                "parse_error": exchange.parse_error,
            },
        )
        return (exchange.answer.action if exchange.answer else None), info

    def _exchange(self, prompt: Prompt) -> "Exchange":
        """Send the prompt until an answer can be parsed, at most `max_retry` more times. A retry contains the last answer and
        its error, and a shorter page where they need the tokens."""
        exchange = Exchange()
        budget = self.window.prompt
        retry: list[Message] = []
        failed: list[Message] = []
        for attempt in range(self.args.max_retry + 1):
            try:
                fitted = fit(prompt, self.tokenizer, budget)
            except DoesNotFit as error:
                exchange.parse_error = f"The prompt does not fit: {error}"
                break
            exchange.retries = attempt
            exchange.lines_cut = fitted.truncated_lines
            request = [*fitted.prompt.messages(), *retry]
            reply = endpoint.complete(self.args.model, request, self.window.answer, self.args.temperature)
            exchange.prompt_tokens += reply.prompt_tokens
            exchange.completion_tokens += reply.completion_tokens
            message = Message(role="assistant", content=reply.text)
            exchange.messages = [*fitted.prompt.messages(), *failed, message]
            try:
                exchange.answer = parse(reply.text, self.flags)
                exchange.parse_error = ""
                break
            except ParseError as error:
                exchange.parse_error = str(error)
                retry = [message, Message(role="user", content=str(error))]
                failed += retry
                budget = self.window.prompt - self._count_added(fitted.prompt, retry)
        return exchange

    def _count_added(self, prompt: Prompt, messages: list[Message]) -> int:
        """Tokens that the messages add to a prompt."""
        total = self.tokenizer.count(self.tokenizer.render([*prompt.messages(), *messages]))
        return total - self.tokenizer.count(self.tokenizer.render(prompt.messages()))


@dataclass
class Exchange:
    """The requests and replies of one step. `answer` is None if no reply could be parsed."""

    answer: Answer | None = None
    messages: list[Message] = field(default_factory=list)
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    lines_cut: dict[str, int] = field(default_factory=dict)
    parse_error: str = ""


_tokenizer = cache(ChatTokenizer)
