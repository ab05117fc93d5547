"""The agent that is evaluated, and that collects with a strong model: prompt → window → endpoint → answer → action.

It renders with `prompt.py` and trims with `fit.py`, as the dataset does, so that a model is asked what it was trained on.
The endpoint's address and key come from the environment and are never saved.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from agentmerge_hub.agents import acting, endpoint
from agentmerge_hub.agents.lab import Agent, AgentArgs, AgentInfo
from agentmerge_hub.fit import DoesNotFit, Window, fit
from agentmerge_hub.prompt import Answer, Flags, ParseError, Prompt, parse, render
from agentmerge_hub.records import Message
from agentmerge_hub.tokenizer import ChatTokenizer


@dataclass
class ChatAgentArgs(AgentArgs):
    """What makes the agent; AgentLab pickles it beside every episode, so it holds no address and no key."""

    agent_name: str = ""
    model: str = ""
    """Name in the requests: a served model's, or a local folder that the server loads."""
    flags: dict[str, Any] = field(default_factory=dict)
    """Fields of prompt.Flags."""
    tokenizer: str = ""
    window: int = 8192
    answer: int = 1024
    temperature: float = 0.0
    max_retry: int = 4

    def prepare(self) -> None:
        """Load what every episode uses, once for all workers."""
        _tokenizer(self.tokenizer)

    def make_agent(self) -> "ChatAgent":
        return ChatAgent(self)


class ChatAgent(Agent):
    """One episode of the agent."""

    def __init__(self, args: ChatAgentArgs) -> None:
        self.args = args
        self.flags = Flags(**args.flags)
        self.window = Window(args.window, args.answer)
        self.action_set = acting.action_set(self.flags.action_space, self.flags.multi_actions)
        self.tokenizer = _tokenizer(args.tokenizer)
        self.history = acting.History()

    def obs_preprocessor(self, obs: dict) -> dict:
        return acting.flatten(obs, self.flags)

    def get_action(self, obs: dict) -> tuple[str | None, AgentInfo]:
        observation = acting.observe(obs)
        self.history.see(observation.last_action_error)
        exchange = self._ask(render(observation, self.history.turns, self.flags))
        if exchange.answer:
            self.history.add(exchange.answer.action, exchange.answer.thought)
        info = AgentInfo(
            think=exchange.answer.thought if exchange.answer else None,
            chat_messages=acting.discussion(exchange.messages),
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

    def _ask(self, prompt: Prompt) -> "Exchange":
        """Ask until an answer can be read, at most `max_retry` more times; each time the last answer and its error are
        shown, and the page is cut further where they need the room."""
        exchange = Exchange()
        budget, shown, failed = self.window.prompt, [], []
        for attempt in range(self.args.max_retry + 1):
            try:
                fitted = fit(prompt, self.tokenizer, budget)
            except DoesNotFit as error:
                exchange.parse_error = f"The prompt does not fit: {error}"
                break
            exchange.retries = attempt
            exchange.lines_cut = fitted.lines_cut
            request = [*fitted.prompt.messages(), *shown]
            reply = endpoint.complete(self.args.model, request, self.window.answer, self.args.temperature)
            exchange.prompt_tokens += reply.prompt_tokens
            exchange.completion_tokens += reply.completion_tokens
            said = Message(role="assistant", content=reply.text)
            exchange.messages = [*fitted.prompt.messages(), *failed, said]
            try:
                exchange.answer = parse(reply.text, self.flags)
                exchange.parse_error = ""
                break
            except ParseError as error:
                exchange.parse_error = str(error)
                shown = [said, Message(role="user", content=str(error))]
                failed += shown
                budget = self.window.prompt - self._cost(fitted.prompt, shown)
        return exchange

    def _cost(self, prompt: Prompt, shown: list[Message]) -> int:
        """Tokens that the shown messages add to a prompt."""
        with_them = self.tokenizer.count(self.tokenizer.render([*prompt.messages(), *shown]))
        return with_them - self.tokenizer.count(self.tokenizer.render(prompt.messages()))


@dataclass
class Exchange:
    """What was said to reach one decision. `answer` is None if no reply could be read."""

    answer: Answer | None = None
    messages: list[Message] = field(default_factory=list)
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    lines_cut: dict[str, int] = field(default_factory=dict)
    parse_error: str = ""


_tokenizer = cache(ChatTokenizer)
