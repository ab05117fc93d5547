"""What a reader of traces is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agentmerge_hub.prompt import PageFlags
from agentmerge_hub.records import Message
from agentmerge_hub.traces.observation.screenshots import Screenshots


@dataclass(frozen=True)
class ReadOptions:
    """What is read beside the texts of a trace, and how a page is printed whose tree and elements it holds."""

    screenshots: Screenshots = "off"
    """Which to read; only AgentLab's and BrowserGym's folders have them beside the steps."""
    page_flags: PageFlags = field(default_factory=PageFlags)
    """Of the pages of steps whose prompts are rendered; a recorded prompt shows the page as it was saved."""
    rebuild_prompts: bool = False
    """Whether recorded prompts are rendered too."""

    def keeps_prompt(self, messages: Sequence[Message], *, has_screenshot: bool) -> bool:
        """Whether a step's recorded prompt is kept word for word. One that showed a screenshot which is not read, or the other way
        round, is rendered anew."""
        return bool(messages) and has_screenshot == (self.screenshots != "off") and not self.rebuild_prompts


TEXTS = ReadOptions()
"""The texts of a trace alone."""
