"""The scripted expert: solvers in place of a model. Prompts, answers and traces have the same form as a model's."""

from dataclasses import dataclass, field
from typing import Any

import agentmerge_hub.agents.solvers  # noqa: F401
from agentmerge_hub.agents import history, observations
from agentmerge_hub.agents.action_sets import make_action_set
from agentmerge_hub.agents.browser.agentlab_api import Agent, AgentArgs, AgentInfo
from agentmerge_hub.agents.solvers.axtree import Page
from agentmerge_hub.agents.solvers.solver import SOLVERS, Unsolved
from agentmerge_hub.prompt import Flags, answer, render
from agentmerge_hub.records import Message
from agentmerge_hub.traces.observation.screenshots import file_name

MODEL = "scripted"


@dataclass
class ExpertArgs(AgentArgs):
    """Arguments of the expert."""

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
        self.action_set = make_action_set(self.flags.action_space, self.flags.multi_actions)
        self.history = history.History()
        self.steps = 0
        self.task = ""

    def set_task_name(self, name: str) -> None:
        """AgentLab's loop calls this before the first step."""
        self.task = name

    def obs_preprocessor(self, obs: dict) -> dict:
        return observations.flatten(obs, self.flags)

    def get_action(self, obs: dict) -> tuple[str | None, AgentInfo]:
        observation = observations.to_observation(obs, self.flags)
        picture = file_name(self.steps, marks=self.flags.use_som) if observation.screenshot else ""
        self.steps += 1
        self.history.record_error(observation.last_action_error)
        messages = list(render(observation, self.history.turns, self.flags).messages())
        extra = {"model": MODEL, "flags": self.flags.model_dump()}
        try:
            plan = SOLVERS[self.task](observation.goal, Page.read(observation.axtree), self._past_calls())
        except Unsolved as error:
            return None, AgentInfo(
                chat_messages=history.to_discussion(messages, picture), extra_info=extra | {"unsolved": str(error)}
            )
        action = "\n".join(plan.actions if self.flags.multi_actions else plan.actions[:1])
        thought = plan.thought if self.flags.use_thinking else None
        messages.append(Message(role="assistant", content=answer(action, thought)))
        self.history.add(action, thought)
        return action, AgentInfo(
            think=thought, chat_messages=history.to_discussion(messages, picture), extra_info=extra
        )

    def _past_calls(self) -> tuple[str, ...]:
        """All calls so far, oldest first."""
        return tuple(call for turn in self.history.turns for call in turn.action.splitlines())
