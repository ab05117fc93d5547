"""One episode → its samples: each step's prompt, recorded or rendered, is fitted and checked; what is dropped has a rule."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from agentmerge_hub.actions import ACTION_SPACES, ActionError, Call, parse_calls
from agentmerge_hub.dataset.preferences.rejected import PairKeys, pair_keys
from agentmerge_hub.dataset.rows.prompt_flags import recorded_flags, rendered_flags
from agentmerge_hub.dataset.selection.drop_rules import Dropped
from agentmerge_hub.dataset.selection.tasks import task
from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.files.content_hash import short_id
from agentmerge_hub.fit import DoesNotFit, Fitted, fit, max_characters
from agentmerge_hub.prompt import (
    Prompt,
    Turn,
    action_texts,
    answer,
    page_bids,
    render,
    split_recorded,
    thinks_of_nothing,
    thought_of,
)
from agentmerge_hub.records import Episode, Message, Sample, Step
from agentmerge_hub.tokenizer import ChatTokenizer, TemplateRefused
from agentmerge_hub.traces.observation.printed_flags import printed_otherwise


@dataclass
class Made:
    """The samples of one episode and what was dropped."""

    samples: list[Sample] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    prompt_flags: dict[str, str] = field(default_factory=dict)
    """Flags of the prompt as JSON, by sample id."""
    pair_keys: dict[str, PairKeys] = field(default_factory=dict)
    """By sample id; empty unless preference pairs are wanted."""


class _Drop(Exception):
    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(rule, detail)


@dataclass(frozen=True)
class _Version:
    """One prompt and answer of a step, before fitting."""

    prompt: Prompt
    answer: str
    action: str
    calls: tuple[Call, ...]
    cot: bool
    flags: dict[str, Any]
    """Fields of `Flags`; of a recorded prompt those that its trace says."""


def make_samples(episode: Episode, settings: Settings, tokenizer: ChatTokenizer, *, successful: bool = True) -> Made:
    """The samples of one episode, and what was dropped with its rule.

    Args:
        successful: False for an episode whose answers are never trained as right: they may name elements that the page does not have.
    """
    made = Made()
    shown = shown_by_default(episode) | settings.screenshot_flags(episode.flags)
    for place, step in enumerate(episode.steps):
        failed = episode.steps[place + 1].observation.last_action_error if place + 1 < len(episode.steps) else ""
        try:
            if failed and settings.drop_failed_actions:
                raise _Drop("failed_action", " ".join(failed.split())[:200])
            versions = list(_versions(episode, place, settings, shown))
        except _Drop as drop:
            made.dropped.append(Dropped(episode.source, episode.episode_id, step.index, *drop.args))
            continue
        for version in versions:
            try:
                sample, fitted = _sample(episode, step, version, settings, tokenizer, successful)
                made.samples.append(sample)
                made.prompt_flags[sample.sample_id] = json.dumps(version.flags, sort_keys=True)
                if settings.preferences:
                    count = partial(_rejected_tokens, tokenizer, fitted.text, settings.answer)
                    made.pair_keys[sample.sample_id] = pair_keys(episode, place, fitted.prompt, sample, count)
            except _Drop as drop:
                rule, detail = drop.args
                name = "cot" if version.cot else "no_cot"
                detail = f"{name}: {detail}" if detail else name
                made.dropped.append(Dropped(episode.source, episode.episode_id, step.index, rule, detail))
    return made


def shown_by_default(episode: Episode) -> dict[str, Any]:
    """Prompt flags that follow from the episode: its actions, several of them at once, several open tabs, and for MiniWoB the
    HTML beside the AXTree (the paper's footnote 6); the HTML also where no AXTree was recorded.

    The action space is the benchmark's, or ``workarena++``; with calls outside of it the next wider one.
    """
    calls = [_calls(step.action or "") for step in episode.steps]
    names = {call.name for of_step in calls for call in of_step}
    preferred = episode.benchmark if episode.benchmark in ACTION_SPACES else "workarena++"
    wider = (preferred, "workarena++", "all")
    return {
        "action_space": next((space for space in wider if names <= set(ACTION_SPACES[space])), preferred),
        "multi_actions": any(len(of_step) > 1 for of_step in calls),
        "use_html": episode.benchmark == "miniwob" or not any(step.observation.axtree for step in episode.steps),
        "use_tabs": any(step.observation.tabs for step in episode.steps),
    }


def keeps_recorded_prompt(step: Step, settings: Settings) -> bool:
    """Whether the step's recorded prompt is kept word for word."""
    return settings.read_options.keeps_prompt(step.messages, has_screenshot=step.prompt_has_screenshot)


def _versions(episode: Episode, place: int, settings: Settings, shown: dict[str, Any]) -> Iterator[_Version]:
    step = episode.steps[place]
    if step.action is None:
        raise _Drop("no_action", " ".join(step.executed.split())[:200])
    if settings.has_screenshots and not step.observation.screenshot:
        raise _Drop("no_screenshot", step.no_screenshot)
    if keeps_recorded_prompt(step, settings):
        yield _recorded(step, step.action, recorded_flags(episode.flags) | _pictures(episode, settings))
        return
    if not step.observation.goal:
        raise _Drop("no_goal")
    if settings.versions == "cot" and not step.thought:
        raise _Drop("no_thought")
    history = _history(episode.steps[: place + 1])
    wanted = ("cot", "no_cot") if settings.versions == "both" else (settings.versions,)
    for name in wanted:
        thinking = name == "cot"
        if thinking and not step.thought:
            continue
        flags = settings.rendering_flags(shown, thinking=thinking)
        page = step.observation
        if not ((flags.use_ax_tree and page.axtree) or (flags.use_html and page.html)):
            raise _Drop("no_page")
        if settings.flags.get("use_html") and not page.html:
            raise _Drop("no_html")
        if difference := printed_otherwise(page, episode.flags, flags):
            raise _Drop("printed_otherwise", difference)
        try:
            calls = parse_calls(step.action, flags.action_names)
        except ActionError as error:
            raise _Drop("outside_action_space", str(error)) from None
        text = answer(step.action, step.thought if thinking else None)
        yield _Version(render(page, history, flags), text, step.action, calls, thinking, rendered_flags(flags, page))


def _pictures(episode: Episode, settings: Settings) -> dict[str, bool]:
    """Flags of the screenshot that is beside a recorded prompt, whatever its agent was shown."""
    return {"use_screenshot": False, "use_som": False} | settings.screenshot_flags(episode.flags)


def _recorded(step: Step, action: str, flags: dict[str, Any]) -> _Version:
    calls = parse_calls(action)
    if calls not in [_calls(text) for text in action_texts(step.answer)]:
        raise _Drop("answer_mismatch", f"executed {action[:80]!r}")
    if thinks_of_nothing(step.answer):
        raise _Drop("thought_of_nothing")
    prompt = split_recorded(step.messages, step.observation)
    if not (prompt.block("axtree") or prompt.block("html")):
        raise _Drop("page_not_found")
    cot = thought_of(step.answer) is not None
    return _Version(prompt, step.answer, action, calls, cot, flags | {"use_thinking": cot})


def _calls(text: str) -> tuple[Call, ...]:
    try:
        return parse_calls(text)
    except ActionError:
        return ()


def _history(steps: tuple[Step, ...]) -> list[Turn]:
    """The turns before the last of these steps, each with the error that the next page reported. What was executed is shown
    also where no call could be read."""
    return [
        Turn(step.action or step.executed, step.thought, after.observation.last_action_error)
        for step, after in itertools.pairwise(steps)
        if step.action or step.executed
    ]


def _sample(
    episode: Episode, step: Step, version: _Version, settings: Settings, tokenizer: ChatTokenizer, successful: bool
) -> tuple[Sample, Fitted]:
    """The sample of one version, and its fitted prompt."""
    window = settings.student_window()
    bids = {bid for call in version.calls for bid in call.bids} if successful else set()
    if bids and (lost := bids - page_bids(version.prompt)):
        raise _Drop("bid_not_on_page", ", ".join(sorted(lost)))
    if version.calls not in map(_calls, action_texts(version.answer)):  # e.g. its thought drafts an action in tags
        raise _Drop("answer_not_trainable", "it is read as other calls than those that were executed")
    if tokenizer.escape(version.answer)[1]:
        raise _Drop("control_token")
    if len(version.answer) > max_characters(window.answer):
        raise _Drop("answer_too_long", f"{len(version.answer)} characters")
    try:
        fitted = fit(version.prompt, tokenizer, window.prompt)
        n_completion = tokenizer.count_completion(fitted.text, version.answer)
    except DoesNotFit as error:
        raise _Drop("does_not_fit", str(error)) from None
    except TemplateRefused as error:
        raise _Drop("template_refused", str(error)) from None
    except ValueError as error:
        raise _Drop("answer_not_trainable", str(error)) from None
    if bids and fitted.prompt is not version.prompt and (lost := bids - page_bids(fitted.prompt)):
        raise _Drop("bid_cut_away", ", ".join(sorted(lost)))
    if n_completion > window.answer:
        raise _Drop("answer_too_long", f"{n_completion} tokens")
    name = "cot" if version.cot else "no_cot"
    sample = Sample(
        prompt=fitted.prompt.messages(),
        completion=(Message(role="assistant", content=version.answer),),
        sample_id=short_id(f"{episode.episode_id}/{step.index}/{name}"),
        episode_id=episode.episode_id,
        benchmark=episode.benchmark,
        task=episode.task,
        category=task(episode.task).category,
        seed=episode.seed,
        step=step.index,
        n_steps=len(episode.steps),
        agent=episode.agent,
        teacher=episode.teacher,
        license=settings.license_of(episode.teacher),
        cot=version.cot,
        action=version.action,
        reward=episode.reward if episode.scored else None,
        n_prompt_tokens=fitted.n_tokens,
        n_completion_tokens=n_completion,
        axtree_lines_cut=fitted.truncated_lines.get("axtree", 0),
        html_lines_cut=fitted.truncated_lines.get("html", 0),
        escaped_control_tokens=fitted.escaped,
        screenshot=step.observation.screenshot if settings.has_screenshots else b"",
    )
    return sample, fitted


def _rejected_tokens(tokenizer: ChatTokenizer, prompt: str, max_tokens: int, answer: str) -> int:
    """Tokens of a rejected answer and its end; one that cannot be trained counts as longer than any window."""
    if len(answer) > max_characters(max_tokens):
        return 2**31 - 1
    try:
        return tokenizer.count_completion(prompt, answer)
    except ValueError:
        return 2**31 - 1
