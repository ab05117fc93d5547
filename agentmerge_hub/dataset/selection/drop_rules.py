"""Rules that drop episodes and samples, each with the name that the ledger and the card use."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from agentmerge_hub.dataset.settings import Settings
from agentmerge_hub.records import Episode

EPISODE_RULES = {
    "unreadable": "a file of the episode is damaged, too large, of a kind that is not read, tries to run code, or holds values that cannot be processed",
    "duplicate_episode": "the same files were read before",
    "other_agent": "the run is of an agent that --agent does not name",
    "crashed": "the run ended in an exception of the agent or the environment",
    "no_outcome": "the format records no outcome, so that it is unknown whether the run succeeded",
    "no_summary": "the run has no summary: it was interrupted and its reward is unknown",
    "empty": "the run has no decision",
    "not_mapped": "a part of the recording has no place in a row; the rows are made without it",
    "unsuccessful": "the reward is below the threshold",
    "not_validated": "the run has a reward, but the task's own validation did not end it",
    "image_goal": "the goal has an image, which no prompt shows",
    "left_site": "a page of another site was open, in a benchmark of one site",
}

STRUCK_IN_REVIEW = "struck_in_review"

SAMPLE_RULES = {
    "no_action": "no call could be read from the answer",
    "no_thought": "no thought was recorded, and only the version with one was asked for",
    "no_goal": "neither a prompt nor a goal was recorded",
    "no_page": "no prompt was recorded, and none of the page that the prompt's flags show",
    "no_html": "a prompt with the page's HTML was asked for, and none was recorded, or the given dataset was built without it",
    "printed_otherwise": "the saved text of the page has other coordinates or other elements than the prompt's flags show, and only an "
    "AXTree that was recorded with its elements' properties can be printed anew",
    "no_screenshot": "no screenshot was recorded, or it is no PNG, damaged or too large",
    "failed_action": "the action ended in an error",
    "answer_mismatch": "the action in the recorded answer is not the one that was executed",
    "thought_of_nothing": "the think step of the recorded answer holds only signs or a word for none, such as `...`",
    "outside_action_space": "the action is not in the prompt's action space",
    "page_not_found": "the recorded prompt does not contain the recorded page",
    "bid_not_on_page": "an element of the action is not on the page of the prompt",
    "bid_cut_away": "an element of the action was lost when the page was truncated to the window",
    "control_token": "the answer holds a control token of the student's chat template",
    "template_refused": "the student's chat template does not take the prompt's turns",
    "does_not_fit": "the prompt exceeds its token budget even without the page",
    "answer_not_trainable": "the answer would be read as another action, or is not separate from the prompt or the end of the turn in tokens",
    "answer_too_long": "the answer exceeds its token budget",
    "duplicate": "an earlier sample has the same prompt and answer",
    "near_duplicate": "an earlier sample differs only in ids, times of day, letter case or spacing",
    "pair_too_long": "the rejected answer of a preference pair is over the answer's budget",
    "pair_excluded": "the preference pair was excluded by its id",
    "pair_accepted": "a successful episode gave the rejected answer of a preference pair on the same page",
    "answer_accepted": "a successful episode gave the answer of an unsuccessful one on the same page, so that it has no label",
    "goal_on_both_sides": "its goal is also in the training tasks",
    "thought_in_prompt": "the answer has no think step, but the recorded prompt shows an earlier thought: the sample is in `all`, not in "
    "`no_cot`",
    STRUCK_IN_REVIEW: "a person struck it in a review before publication",
}

SINGLE_SITE = frozenset({"workarena", "miniwob"})
"""Benchmarks whose every task is on one site, and which do not check it themselves.

The others follow their own rules: AssistantBench, GAIA and WebVoyager search the open web; tasks of WebArena, WebArena Lite,
WebArena Verified and VisualWebArena may use all sites of the instance, whose addresses a trace does not name, and BrowserGym
ends a run with reward 0 as soon as another page is open (`validate` in browsergym/webarena/task.py), so that a success has
stayed on them; WebLINX replays recorded pages."""


NOT_DROPPED = frozenset({"not_mapped", "thought_in_prompt"})
"""Rules of the ledger that leave something out and drop no row of `all`."""

KEPT_BY = {
    "other_agent": "--agent with the name of their agent, or no --agent, keeps them",
    "no_outcome": "--unscored keeps them",
    "unsuccessful": "a lower --min-reward than {min_reward:.15g} keeps those that the task's own validation ended",
    "left_site": "--no-site-rule keeps them",
    "no_thought": "--versions both keeps them without a thought",
    "no_page": "--flag use_html=true keeps those of which the HTML was recorded, --flag use_ax_tree=true those with an AXTree",
    "no_html": "without --flag use_html=true they are kept with their AXTree; a dataset has the HTML if it was built with --keep-html or with that "
    "flag",
    "printed_otherwise": "--flag extract_coords=false keeps those whose AXTree has other coordinates, the filter_… flags with the agent's "
    "values those with other elements, --flag use_html=false those of which only the HTML differs",
    "no_screenshot": "without --screenshots they are kept as text",
    "failed_action": "without --drop-failed-actions they are kept",
    "answer_mismatch": "--rebuild-prompts keeps them with an answer that holds the executed action",
    "thought_of_nothing": "--rebuild-prompts keeps them without a thought",
    "outside_action_space": "--flag action_space=all keeps them",
    "page_not_found": "--rebuild-prompts keeps them",
    "bid_not_on_page": "--rebuild-prompts keeps those whose recorded prompt shows less than the page, --flag use_html=true those "
    "whose HTML has the element",
    "bid_cut_away": "a larger --window keeps them",
    "template_refused": "--rebuild-prompts keeps those whose recorded prompt has other turns than a system and a user turn",
    "does_not_fit": "a larger --window keeps them",
    "answer_too_long": "a larger --answer, in a --window that holds it, keeps them",
    "duplicate": "a larger --keep-duplicates keeps them",
    "near_duplicate": "a larger --keep-duplicates keeps them",
    "pair_too_long": "a larger --answer, in a --window that holds it, keeps them",
    "pair_excluded": "without --exclude-pairs they are kept",
    "goal_on_both_sides": "--no-benchmark-split without --inter-seeds, --hold-out-task, --hold-out-category and --validation-task "
    "keeps them",
}
"""Rule → the option that keeps what it drops, with the place of the setting `min_reward`."""

KEPT_BY_NONE = frozenset(
    {
        "unreadable", "duplicate_episode", "crashed", "no_summary", "empty", "not_validated", "image_goal", "no_action", "no_goal",
        "control_token", "answer_not_trainable", "pair_accepted", "answer_accepted", STRUCK_IN_REVIEW,
    }
)  # fmt: skip
"""Rules of which no option keeps what they drop."""


@dataclass(frozen=True)
class Dropped:
    """One row of the ledger. `step` is None for a whole episode."""

    source: str
    episode_id: str
    step: int | None
    rule: str
    detail: str = ""


def episode_drop_rule(episode: Episode, settings: Settings) -> tuple[str, str] | None:
    """Rule and detail that drop an episode, None if it is kept."""
    if settings.agents and episode.agent not in settings.agents:
        return "other_agent", episode.agent
    if episode.error:
        return "crashed", episode.error
    if not episode.scored and not settings.unscored:
        return "no_outcome", f"{len(episode.steps)} steps"
    if episode.scored and not episode.complete:
        return "no_summary", f"{len(episode.steps)} steps"
    if not episode.steps:
        return "empty", ""
    if episode.scored and episode.reward < settings.min_reward:
        return "unsuccessful", f"reward {_exact(episode.reward)}"
    if episode.scored and not episode.terminated:
        return "not_validated", f"reward {_exact(episode.reward)}{', truncated' if episode.truncated else ''}"
    if episode.image_goal:
        return "image_goal", ""
    if settings.site_rule and episode.benchmark in SINGLE_SITE and (elsewhere := left_site(episode)):
        return "left_site", elsewhere
    return None


def _exact(reward: float) -> str:
    """A reward without rounding: 0.9999999 is not 1."""
    return f"{reward:.15g}"


def left_site(episode: Episode) -> str:
    """The first opened host that differs from the first page's host, empty if there is none."""
    urls = [step.observation.url for step in episode.steps] + list(episode.final_urls)
    hosts = [host for host in _hosts(urls) if host]
    return next((host for host in hosts if host != hosts[0]), "")


def _hosts(urls: Iterable[str]) -> Iterable[str]:
    """The host of each page on a site; empty for others, such as about:blank. Files of the machine are a site of their own."""
    for url in urls:
        try:
            parts = urlsplit(url.removeprefix("view-source:").removeprefix("blob:"))
            host = "file:" if parts.scheme == "file" else (parts.hostname or "").rstrip(".")[:255]
            yield host if parts.scheme in ("http", "https", "file") else ""
        except ValueError:
            yield ""
