"""An episode as JSON, for what a format has no place for: written beside the format's own content, and read back with it."""

from dataclasses import fields
from typing import Any, TypeGuard

from agentmerge_hub.records import Episode, Message, Observation, Step
from agentmerge_hub.traces.formats.answers import read_action
from agentmerge_hub.traces.values import (
    as_bool,
    as_count,
    as_dict,
    as_json,
    as_reward,
    as_seconds,
    as_seed,
    as_text,
    as_texts,
)

KEY = "agentmerge"
"""Where these facts are in a document."""

_OF_EPISODE = (
    "benchmark", "task", "seed", "agent", "teacher", "reward", "terminated", "truncated", "error", "complete", "scored", "flags",
    "action_space", "date", "final_urls", "image_goal",
)  # fmt: skip
_OF_PAGE = tuple(field.name for field in fields(Observation) if field.name not in ("axtree", "html", "screenshot"))


_NOT_FACTS = ("index", "observation", "prompt_has_screenshot", "no_screenshot")


def to_facts(episode: Episode) -> dict[str, Any]:
    """Everything of an episode but its identity, its trees, its HTML and its screenshots, as JSON values."""
    return {
        "version": 1,
        "episode": {name: getattr(episode, name) for name in _OF_EPISODE} | {"final_urls": list(episode.final_urls)},
        "steps": [_step_facts(step) for step in episode.steps],
    }


def _step_facts(step: Step) -> dict[str, Any]:
    facts = {field.name: getattr(step, field.name) for field in fields(Step) if field.name not in _NOT_FACTS}
    page = {name: getattr(step.observation, name) for name in _OF_PAGE}
    messages = () if step.prompt_has_screenshot else step.messages  # whose text alone is not what the agent saw
    facts |= {"messages": [dict(message) for message in messages], "refused_answers": list(step.refused_answers)}
    return {"index": step.index, "page": page} | facts


def is_facts(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value is what `to_facts` writes."""
    return isinstance(value, dict) and value.get("version") == 1 and isinstance(value.get("steps"), list)


def from_facts(facts: dict[str, Any], pages: list[tuple[str, str]], *, episode_id: str, source: str) -> Episode:
    """The episode of facts and of the pages, AXTree and HTML, before each of its steps.

    Raises:
        OutOfRange: for a value that must not be guessed.
    """
    of_episode = as_dict(facts.get("episode"))
    steps = [as_dict(step) for step in facts["steps"]]
    return Episode(
        episode_id=episode_id,
        source=source,
        benchmark=as_text(of_episode.get("benchmark")),
        task=as_text(of_episode.get("task")),
        agent=as_text(of_episode.get("agent")),
        teacher=as_text(of_episode.get("teacher")),
        error=as_text(of_episode.get("error")),
        date=as_text(of_episode.get("date")),
        seed=as_seed(of_episode.get("seed")),
        reward=as_reward(of_episode.get("reward")),
        terminated=as_bool(of_episode.get("terminated")),
        truncated=as_bool(of_episode.get("truncated")),
        complete=as_bool(of_episode.get("complete")),
        scored=of_episode.get("scored") is not False,
        flags=as_json(as_dict(of_episode.get("flags"))),
        action_space=as_text(of_episode.get("action_space")),
        final_urls=as_texts(of_episode.get("final_urls")),
        image_goal=as_bool(of_episode.get("image_goal")),
        steps=tuple(_step(step, *page) for step, page in zip(steps, pages)),
    )


def _step(facts: dict[str, Any], axtree: str, html: str) -> Step:
    page = as_dict(facts.get("page"))
    focused = page.get("focused_bid")
    texts: dict[str, Any] = {name: as_text(page.get(name)) for name in _OF_PAGE if name != "focused_bid"}
    messages = [as_dict(message) for message in facts["messages"]] if isinstance(facts.get("messages"), list) else []
    return Step(
        index=as_count(facts.get("index")),
        observation=Observation(
            **texts,
            focused_bid=as_text(focused) if isinstance(focused, str) else None,
            axtree=axtree,
            html=html,
        ),
        answer=as_text(facts.get("answer")),
        action=read_action(as_text(facts["action"])).action if isinstance(facts.get("action"), str) else None,
        executed=as_text(facts.get("executed")),
        thought=as_text(facts["thought"]) if isinstance(facts.get("thought"), str) else None,
        messages=tuple(Message(role=as_text(m.get("role")), content=as_text(m.get("content"))) for m in messages),
        refused_answers=as_texts(facts.get("refused_answers")),
        reward=as_reward(facts.get("reward")),
        terminated=as_bool(facts.get("terminated")),
        truncated=as_bool(facts.get("truncated")),
        parse_retries=as_count(facts.get("parse_retries")),
        prompt_tokens=as_count(facts.get("prompt_tokens")),
        completion_tokens=as_count(facts.get("completion_tokens")),
        agent_seconds=as_seconds(facts.get("agent_seconds")),
    )
