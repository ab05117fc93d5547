"""Flags: what a prompt shows and what the answer must hold."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agentmerge_hub.actions import ACTION_SPACES

Coordinates = Annotated[
    Literal["False", "center", "box"], BeforeValidator(lambda value: "False" if value is False else value)
]
"""AgentLab's values. YAML and `--flag` read an unquoted False as no text."""


class PageFlags(BaseModel):
    """Flags that a page's text was printed with and that another text cannot be made of: what it lacks is not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    extract_coords: Coordinates = Field(
        default="False", description="Show the place of elements in the viewport: center or box."
    )
    filter_visible_elements_only: bool = Field(
        default=False, description="Leave out elements that are not visible in the viewport."
    )
    filter_with_bid_only: bool = Field(default=False, description="Leave out elements without a bid.")
    filter_som_only: bool = Field(default=False, description="Leave out elements without a mark in the screenshot.")


class Flags(PageFlags):
    """What the prompt shows and what the answer must hold. Names follow AgentLab's."""

    action_space: str = Field(
        default="workarena", description="The calls that an answer may hold, e.g. miniwob, workarena, all."
    )
    use_thinking: bool = Field(default=True, description="Chain of thought: the answer starts with `<think>`.")
    multi_actions: bool = Field(default=False, description="Several actions may be given at once, one a line.")
    use_ax_tree: bool = Field(default=True, description="Show the accessibility tree.")
    use_html: bool = Field(default=False, description="Show the pruned HTML.")
    use_screenshot: bool = Field(default=False, description="Show a screenshot of the page, for vision models.")
    use_som: bool = Field(default=False, description="Mark each element of the screenshot with a box and its bid.")
    use_tabs: bool = Field(default=False, description="List the open tabs.")
    use_focused_element: bool = Field(default=True, description="Name the focused element's bid.")
    use_error_logs: bool = Field(default=True, description="Show the errors of the last action and of earlier ones.")
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

    @model_validator(mode="before")
    @classmethod
    def _are_applied(cls, values: Any) -> Any:
        for name in values if isinstance(values, dict) else ():
            if name in NOT_APPLIED:
                raise ValueError(not_applied(name))
        return values

    def model_post_init(self, _context: Any) -> None:
        if self.action_space not in ACTION_SPACES:
            raise ValueError(f"no action space {self.action_space!r}: use one of {', '.join(ACTION_SPACES)}")
        if not (self.use_ax_tree or self.use_html):
            raise ValueError("use_ax_tree or use_html must be on: the agent has to see the page")
        if self.use_som and not self.use_screenshot:
            raise ValueError("use_som marks elements in the screenshot: set use_screenshot too")

    @property
    def page_flags(self) -> PageFlags:
        """The flags that a page has to be printed with."""
        return PageFlags(**{name: getattr(self, name) for name in PageFlags.model_fields})

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the calls that the answer may hold."""
        return ACTION_SPACES[self.action_space]


_ANSWER = "an answer holds a thought and an action alone"

NOT_APPLIED = {
    "obs": "flags are not nested here: write those inside it one level up",
    "action": "flags are not nested here: write those inside it one level up",
    "action_set": "action_space names the calls",
    "is_strict": "an answer without <action> is read from its code blocks",
    "use_history": "use_action_history and use_think_history show the history",
    "use_past_error_logs": "use_error_logs shows the errors of earlier steps too",
    "use_diff": "AgentLab's prompts do not use it either",
    "html_type": "use_html shows the pruned HTML",
    "openai_vision_detail": "the endpoint chooses the detail of a picture",
    "use_plan": _ANSWER,
    "use_criticise": _ANSWER,
    "use_memory": _ANSWER,
    "use_abstract_example": "use_concrete_example shows a worked answer",
    "use_hints": "prompts have no hints",
    "enable_chat": "prompts show the goal, which is the first message of a chat",
    "max_prompt_tokens": "window and answer set it",
    "max_trunc_itr": "a page is cut to the window at once",
    "be_cautious": "prompts have no such sentence",
    "extra_instructions": "prompts have no instructions but their own",
    "add_missparsed_messages": "a retry always shows the answer that could not be read",
    "flag_group": "AgentLab's prompts do not use it either",
}
"""Flags of AgentLab's GenericAgent that prompts here do not have → what holds in their place."""


def not_applied(name: str) -> str:
    """A sentence for a flag of NOT_APPLIED."""
    return f"AgentLab's flag {name} is not applied here, remove it: {NOT_APPLIED[name]}"


ADVANCED = Flags(use_thinking=True, multi_actions=True)
"""The paper's stronger configuration: chain of thought and several actions at once."""

BASIC = Flags(use_thinking=False, multi_actions=False, use_think_history=False)
"""The paper's plain configuration: one action, no chain of thought."""
