"""Dynamic prompting, for the dataset and for the acting agent alike: an observation, the history and flags become chat
messages; an answer becomes thought and action. Nothing here counts tokens (`fit` does) or reads a file."""

from agentmerge_hub.prompt.answers import (
    THINK_TAG,
    Answer,
    ParseError,
    action_texts,
    answer,
    parse,
    thinks_of_nothing,
    thought_of,
)
from agentmerge_hub.prompt.flags import ADVANCED, BASIC, Flags, PageFlags
from agentmerge_hub.prompt.layout import Block, Prompt
from agentmerge_hub.prompt.page_bids import html_bids, page_bids, tree_bids
from agentmerge_hub.prompt.recorded import shows_thought, split_recorded
from agentmerge_hub.prompt.rendering import EXAMPLE_BID, Turn, render, without_screenshot_note

__all__ = [
    "ADVANCED",
    "BASIC",
    "EXAMPLE_BID",
    "THINK_TAG",
    "Answer",
    "Block",
    "Flags",
    "PageFlags",
    "ParseError",
    "Prompt",
    "Turn",
    "action_texts",
    "answer",
    "html_bids",
    "page_bids",
    "parse",
    "render",
    "shows_thought",
    "split_recorded",
    "thinks_of_nothing",
    "thought_of",
    "tree_bids",
    "without_screenshot_note",
]
