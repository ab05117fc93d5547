"""The scripted expert: programmed solvers in place of a model, with the same prompt, the same answers, the same traces."""

from dataclasses import dataclass, field
from typing import Any

import agentmerge_hub.agents.solvers  # noqa: F401
from agentmerge_hub.agents import acting
from agentmerge_hub.agents.axtree import Page
from agentmerge_hub.agents.lab import Agent, AgentArgs, AgentInfo
from agentmerge_hub.agents.solver import SOLVERS, Unsolved
from agentmerge_hub.prompt import Flags, answer, render
from agentmerge_hub.records import Message

MODEL = "scripted"


@dataclass
class ExpertArgs(AgentArgs):
    """What makes the expert."""

    agent_name: str = ""
    model: str = MODEL
    flags: dict[str, Any] = field(default_factory=dict)
    """Fields of prompt.Flags."""

    def make_agent(self) -> "Expert":
        return Expert(self)


class Expert(Agent):
    """One episode of the expert."""

    def __init__(self, args: ExpertArgs) -> None:
        self.flags = Flags(**args.flags)
        self.action_set = acting.action_set(self.flags.action_space, self.flags.multi_actions)
        self.history = acting.History()
        self.task = ""

    def set_task_name(self, name: str) -> None:
        """AgentLab's loop calls this before the first step."""
        self.task = name

    def obs_preprocessor(self, obs: dict) -> dict:
        return acting.flatten(obs, self.flags)

    def get_action(self, obs: dict) -> tuple[str | None, AgentInfo]:
        observation = acting.observe(obs)
        self.history.see(observation.last_action_error)
        messages = list(render(observation, self.history.turns, self.flags).messages())
        extra = {"model": MODEL, "flags": self.flags.model_dump()}
        try:
            plan = SOLVERS[self.task](observation.goal, Page.read(observation.axtree), self._past())
        except Unsolved as error:
            return None, AgentInfo(
                chat_messages=acting.discussion(messages), extra_info=extra | {"unsolved": str(error)}
            )
        action = "\n".join(plan.actions if self.flags.multi_actions else plan.actions[:1])
        thought = plan.thought if self.flags.use_thinking else None
        messages.append(Message(role="assistant", content=answer(action, thought)))
        self.history.add(action, thought)
        return action, AgentInfo(think=thought, chat_messages=acting.discussion(messages), extra_info=extra)

    def _past(self) -> tuple[str, ...]:
        """Every call made so far, oldest first."""
        return tuple(call for turn in self.history.turns for call in turn.action.splitlines())
