"""Flags: what a prompt shows and what the answer must hold."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agentmerge_hub.actions import ACTION_SPACES


class Flags(BaseModel):
    """What the prompt shows and what the answer must hold. Names follow AgentLab's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_space: str = Field(default="workarena", description="Name in agentmerge_hub.actions.ACTION_SPACES.")
    use_thinking: bool = Field(default=True, description="Chain of thought: the answer starts with <think>.")
    multi_actions: bool = Field(default=False, description="Several actions may be given at once, one a line.")
    use_ax_tree: bool = Field(default=True, description="Show the accessibility tree.")
    use_html: bool = Field(default=False, description="Show the pruned HTML.")
    use_screenshot: bool = Field(default=False, description="Show a screenshot of the page, for vision models.")
    use_som: bool = Field(default=False, description="Mark each element of the screenshot with a box and its bid.")
    use_tabs: bool = Field(default=False, description="List the open tabs.")
    use_focused_element: bool = Field(default=True, description="Name the focused element's bid.")
    use_error_logs: bool = Field(default=True, description="Show the error of the last action.")
    use_action_history: bool = Field(default=True, description="Show all earlier actions.")
    use_think_history: bool = Field(default=True, description="Show all earlier thoughts.")
    extract_visible_tag: bool = Field(default=True, description="Tag visible elements in the AXTree.")
    extract_clickable_tag: bool = Field(default=True, description="Tag clickable elements in the AXTree.")
    long_description: bool = Field(default=True, description="Describe each action in a sentence.")
    brief_action_space: bool = Field(default=False, description="Show each action's name and required arguments alone.")
    brief_instructions: bool = Field(
        default=False, description="Leave out the sentences that explain the prompt's parts."
    )
    individual_examples: bool = Field(default=True, description="Give examples of each action.")
    use_concrete_example: bool = Field(default=True, description="End with one worked answer.")

    def model_post_init(self, _context: Any) -> None:
        if self.action_space not in ACTION_SPACES:
            raise ValueError(f"no action space {self.action_space!r}: use one of {', '.join(ACTION_SPACES)}")
        if not (self.use_ax_tree or self.use_html):
            raise ValueError("use_ax_tree or use_html must be on: the agent has to see the page")
        if self.use_som and not self.use_screenshot:
            raise ValueError("use_som marks elements in the screenshot: set use_screenshot too")

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the calls that the answer may hold."""
        return ACTION_SPACES[self.action_space]


ADVANCED = Flags(use_thinking=True, multi_actions=True)
"""The paper's stronger configuration: chain of thought and several actions at once."""

BASIC = Flags(use_thinking=False, multi_actions=False, use_think_history=False)
"""The paper's plain configuration: one action, no chain of thought."""
