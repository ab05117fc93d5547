"""What one sample contributes to preference pairs: answers that are worse than its own, and keys to find other episodes' answers.

Inputs: an episode and one of its fitted samples. Nothing here compares episodes; `pairs` does, once all of them are known.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from agentmerge_hub.actions import ActionError, Call, parse_calls
from agentmerge_hub.dataset.preferences.counterfactuals import SolvedStep, counterfactuals
from agentmerge_hub.prompt import Prompt, action_texts, html_bids, page_bids, tree_bids
from agentmerge_hub.records import Episode, Sample

REFUSED_ANSWER = "refused_answer"

REJECTED = pa.list_(
    pa.struct(
        [
            ("origin", pa.string()),
            ("action", pa.string()),
            ("answer", pa.string()),
            ("calls_key", pa.string()),
            ("n_tokens", pa.int32()),
        ]
    )
)
"""Arrow type of the rejected answers of one sample."""


@dataclass(frozen=True)
class RejectedAnswer:
    """An answer that is worse than the sample's."""

    origin: str
    action: str
    """Empty where no call can be read from it."""
    answer: str
    calls_key: str
    """Empty where no call can be read."""
    n_tokens: int


@dataclass(frozen=True)
class PairKeys:
    """Keys of one sample, and its rejected answers."""

    page_key: str
    """Equal for steps that were reached by the same actions over the same pages."""
    calls_key: str
    """Equal for actions that make the same calls."""
    rejected: tuple[RejectedAnswer, ...]


def pair_keys(
    episode: Episode, place: int, prompt: Prompt, sample: Sample, count_tokens: Callable[[str], int]
) -> PairKeys:
    """Keys and rejected answers of one sample.

    Args:
        place: index of the step in ``episode.steps``.
        prompt: the sample's fitted prompt.
        count_tokens: tokens that an answer and the end of its turn add to that prompt.
    """
    step = episode.steps[place]
    thought = step.thought if sample.cot else None
    bids = frozenset(tree_bids(step.observation.axtree) | html_bids(step.observation.html) | page_bids(prompt))
    solved = SolvedStep(prompt.block("axtree"), bids, sample.action, thought, _failed_action(episode, place))
    chosen = sample.completion[0]["content"]
    answers = [
        (REFUSED_ANSWER, _action_in(text), text) for text in step.refused_answers if text.strip() and text != chosen
    ]
    answers += [(one.origin, one.action, one.answer) for one in counterfactuals(solved, key=sample.sample_id)]
    rejected = tuple(
        RejectedAnswer(origin, action, text, _key_of_text(action), count_tokens(text))
        for origin, action, text in dict.fromkeys(answers)
    )
    return PairKeys(_page_key(episode, place), calls_key(parse_calls(sample.action)), rejected)


def calls_key(calls: tuple[Call, ...]) -> str:
    """Hash of calls, whatever their quotes and spaces."""
    return _hash([[call.name, call.arguments] for call in calls])


def _page_key(episode: Episode, place: int) -> str:
    path = [
        [step.observation.axtree or step.observation.html, _key_of_text(step.action or "")]
        for step in episode.steps[:place]
    ]
    now = episode.steps[place].observation
    return _hash([episode.task, episode.seed, now.goal, path, now.axtree or now.html])


def _failed_action(episode: Episode, place: int) -> str:
    """The previous action, where this page reports an error for it."""
    if place == 0 or not episode.steps[place].observation.last_action_error:
        return ""
    return episode.steps[place - 1].action or ""


def _action_in(text: str) -> str:
    return next((found for found in action_texts(text) if _key_of_text(found)), "")


def _key_of_text(action: str) -> str:
    try:
        return calls_key(parse_calls(action))
    except ActionError:
        return ""


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:24]
