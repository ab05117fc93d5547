"""The chat agent for collecting and evaluating: observation → prompt → endpoint → answer → action.

It renders with `prompt` and trims with `fit`, as the dataset does, so that a model gets the prompts it was trained on.
The endpoint's address and key come from the environment and are never saved.
"""

import base64
import json
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from agentmerge_hub.agents import history, observations
from agentmerge_hub.agents.action_sets import make_action_set
from agentmerge_hub.agents.browser.agentlab_api import Agent, AgentArgs, AgentInfo
from agentmerge_hub.agents.serving import endpoint
from agentmerge_hub.agents.serving.reply import Reply
from agentmerge_hub.agents.status.run_status import ANSWERED_AS
from agentmerge_hub.fit import DoesNotFit, Fitted, Window, fit
from agentmerge_hub.prompt import Answer, Flags, ParseError, Prompt, parse, render
from agentmerge_hub.records import Message
from agentmerge_hub.tokenizer import ChatTokenizer
from agentmerge_hub.traces.observation.screenshots import file_name


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
    image_tokens: int = 0
    """Tokens of the window kept free for a screenshot."""
    temperature: float = 0.0
    max_retry: int = 4
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        """Load the tokenizer once, before the workers fork.

        Raises:
            UserError: if there is no tokenizer, or its chat template cannot render prompts.
        """
        _load_tokenizer(self.tokenizer, json.dumps(self.chat_template_kwargs, sort_keys=True))

    def make_agent(self) -> "ChatAgent":
        return ChatAgent(self)


class ChatAgent(Agent):
    """One episode of the agent."""

    def __init__(self, args: ChatAgentArgs) -> None:
        self.args = args
        self.flags = Flags(**args.flags)
        self.window = Window(args.window, args.answer, args.image_tokens if self.flags.use_screenshot else 0)
        self.action_set = make_action_set(self.flags.action_space, self.flags.multi_actions)
        self.tokenizer = _load_tokenizer(args.tokenizer, json.dumps(args.chat_template_kwargs, sort_keys=True))
        self.history = history.History()
        self.steps = 0

    def obs_preprocessor(self, obs: dict) -> dict:
        return observations.flatten(obs, self.flags)

    def get_action(self, obs: dict) -> tuple[str | None, AgentInfo]:
        observation = observations.to_observation(obs, self.flags)
        picture = file_name(self.steps, marks=self.flags.use_som) if observation.screenshot else ""
        self.steps += 1
        self.history.record_error(observation.last_action_error)
        exchange = self._exchange(render(observation, self.history.turns, self.flags), observation.screenshot)
        if exchange.answer:
            self.history.add(exchange.answer.action, exchange.answer.thought)
        info = AgentInfo(
            think=exchange.answer.thought if exchange.answer else None,
            chat_messages=history.to_discussion(exchange.messages, picture if exchange.messages else ""),
            stats={
                "n_retry": exchange.retries,
                "busted_retry": int(exchange.answer is None),
                "overflow": int(exchange.overflow),
                "input_tokens": exchange.prompt_tokens,
                "output_tokens": exchange.completion_tokens,
                **{ANSWERED_AS + name: 1 for name in sorted(exchange.models - {"", self.args.model})},
            },
            extra_info={
                "model": self.args.model,
                "flags": self.flags.model_dump(),
                "window": self.window.total,
                "answer": self.window.answer,
                "chat_template_kwargs": self.args.chat_template_kwargs,
                "lines_cut": exchange.truncated_lines,
                "parse_error": exchange.parse_error,
            },
        )
        return (exchange.answer.action if exchange.answer else None), info

    def _exchange(self, prompt: Prompt, screenshot: bytes) -> "Exchange":
        """Send the prompt until an answer can be parsed, at most `max_retry` more times. A retry contains the last answer and
        its error."""
        exchange = Exchange()
        failed: list[Message] = []
        for attempt in range(self.args.max_retry + 1):
            try:
                fitted, retry = self._fit(prompt, failed[-2:])
            except DoesNotFit as error:
                exchange.overflow, exchange.parse_error = True, f"The prompt does not fit: {error}"
                break
            exchange.retries = attempt
            exchange.truncated_lines = fitted.truncated_lines
            request = self.tokenizer.template.messages([*fitted.prompt.messages(), *retry])
            reply = self._complete(request, screenshot)
            exchange.add_usage(reply, self.tokenizer, request)
            exchange.models.add(reply.model)
            message = Message(role="assistant", content=_with_reasoning(reply))
            exchange.messages = [*fitted.prompt.messages(), *failed, message]
            try:
                answer = parse(reply.text, self.flags)
                exchange.answer = replace(answer, thought=_join(reply.reasoning, answer.thought))
                exchange.parse_error = ""
                break
            except ParseError as error:
                exchange.parse_error = str(error)
                failed += [Message(role="assistant", content=reply.text), Message(role="user", content=str(error))]
        return exchange

    def _complete(self, request: list[Message], screenshot: bytes) -> Reply:
        args = self.args
        url = f"data:image/png;base64,{base64.b64encode(screenshot).decode()}"
        return endpoint.complete(
            args.model,
            history.with_picture(request, url) if screenshot else request,
            self.window.answer,
            args.temperature,
            chat_template_kwargs=args.chat_template_kwargs,
        )

    def _fit(self, prompt: Prompt, retry: list[Message]) -> tuple[Fitted, list[Message]]:
        """The prompt and the messages of a retry, trimmed to the window.

        The page is trimmed first. A failed answer that is longer than an answer may be, or that leaves no tokens for the
        prompt, is shortened. Like the page, it and the error that quotes it end no turn.

        Raises:
            DoesNotFit: if the prompt does not fit even without the page.
        """
        if not retry:
            return fit(prompt, self.tokenizer, self.window.prompt), []
        limit = self.window.answer
        while True:
            texts = self._shorten(retry[0]["content"], limit), retry[1]["content"]
            shown = [Message(role=m["role"], content=self.tokenizer.escape(t)[0]) for m, t in zip(retry, texts)]
            try:
                return fit(prompt, self.tokenizer, self.window.prompt - self._count_added(prompt, shown)), shown
            except DoesNotFit:
                if limit == 0:
                    raise
                limit //= 4

    def _count_added(self, prompt: Prompt, messages: list[Message]) -> int:
        """Tokens that the messages add to a prompt."""
        start = prompt.messages()
        total = self.tokenizer.count(self.tokenizer.render([*start, *messages]))
        return total - self.tokenizer.count(self.tokenizer.render(start))

    def _shorten(self, text: str, limit: int) -> str:
        """The beginning and the end of a text, with at most `limit` tokens besides the marker between them."""
        count, kept = self.tokenizer.count(text), len(text)
        short = text
        while count > limit and kept:
            kept = min(kept - 1, kept * limit // count)
            parts = (text[: kept - kept // 2], text[len(text) - kept // 2 :])
            count = sum(map(self.tokenizer.count, parts))
            short = f"{parts[0]}\n… ({len(text) - kept} characters removed) …\n{parts[1]}"
        return short


@dataclass
class Exchange:
    """The requests and replies of one step. `answer` is None if no reply could be parsed."""

    answer: Answer | None = None
    messages: list[Message] = field(default_factory=list)
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    truncated_lines: dict[str, int] = field(default_factory=dict)
    parse_error: str = ""
    overflow: bool = False
    """The prompt or a retry did not fit into the window."""
    models: set[str] = field(default_factory=set)
    """Names of the models that answered."""

    def add_usage(self, reply: Reply, tokenizer: ChatTokenizer, request: list[Message]) -> None:
        """Add the tokens of a request. Where the server does not report them, those of its text are counted here."""
        prompt_tokens, completion_tokens = reply.prompt_tokens, reply.completion_tokens
        if prompt_tokens is None:
            prompt_tokens = tokenizer.count(tokenizer.render(request))
        if completion_tokens is None:
            completion_tokens = tokenizer.count(_with_reasoning(reply))
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens


def _with_reasoning(reply: Reply) -> str:
    """The reply as one text, in the form that the model is trained on: the reasoning as its think step."""
    return f"<think>\n{reply.reasoning}\n</think>\n\n{reply.text}" if reply.reasoning else reply.text


def _join(reasoning: str, thought: str | None) -> str | None:
    return "\n".join(part for part in (reasoning, thought) if part) or None


@cache
def _load_tokenizer(name: str, chat_template_kwargs: str) -> ChatTokenizer:
    return ChatTokenizer(name, chat_template_kwargs=chat_template_kwargs, prompts_only=True)
