"""Render the prompt of one step: the sections of the paper's Figure 5, each under its flag.

The dataset and the acting agent both render here, so that a model acts on the prompts that it was trained on. A section is
left out where its value was not recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agentmerge_hub.actions import describe, signatures
from agentmerge_hub.prompt.answers import answer
from agentmerge_hub.prompt.flags import Flags
from agentmerge_hub.prompt.layout import Block, Prompt
from agentmerge_hub.prompt.tags import has_tag, without_tags
from agentmerge_hub.records import Observation

EXAMPLE_BID = "a324"
"""The bid of the concrete example; a model that copies it has not read the page (the paper's error analysis)."""

SYSTEM = (
    "You are an agent that solves a task on a web page for a user. At each turn you see the page and answer with your "
    "next action; it is carried out in the browser and you see the page again."
)
BRIEF_SYSTEM = "You act on a web page for a user."


@dataclass(frozen=True)
class Turn:
    """One past step as the history shows it."""

    action: str
    thought: str | None = None
    error: str = ""


def render(observation: Observation, history: Sequence[Turn], flags: Flags) -> Prompt:
    """The prompt of one step.

    Args:
        observation: the page now, its texts printed with the flags' `page_flags`.
        history: the steps before, oldest first.
        flags: what to show.
    """
    blocks = [Block(_instructions(observation.goal, flags))]
    blocks.append(Block("\n# Observation of current step:\n"))
    if flags.use_tabs and observation.tabs:
        blocks.append(Block(f"\n## Currently open tabs:\n{observation.tabs}"))
    if flags.use_ax_tree and observation.axtree:
        tree = _axtree(observation.axtree, flags)
        blocks += [Block(_axtree_heading(tree, flags)), Block(tree, "axtree"), Block("\n")]
    if flags.use_html and observation.html:
        blocks += [Block(_html_heading(flags)), Block(observation.html.strip("\n"), "html"), Block("\n")]
    if flags.use_screenshot and observation.screenshot:
        blocks.append(Block(_screenshot_note(flags)))
    if flags.use_focused_element and observation.focused_bid is not None:
        focused = f"bid={observation.focused_bid!r}" if observation.focused_bid else "none"
        blocks.append(Block(f"\n## Focused element:\n{focused}\n"))
    if flags.use_error_logs and observation.last_action_error:
        blocks.append(Block(f"\n## Error from previous action:\n{observation.last_action_error}\n"))
    blocks.append(Block(_history(history, flags)))
    blocks.append(Block(_action_space(flags)))
    if flags.use_concrete_example:
        blocks.append(Block(_concrete_example(flags)))
    return Prompt(BRIEF_SYSTEM if flags.brief_instructions else SYSTEM, tuple(blocks))


def _instructions(goal: str, flags: Flags) -> str:
    if flags.brief_instructions:
        return f"## Goal:\n{goal}\n"
    return (
        "# Instructions\n"
        "Review the current state of the page and all other information to find the best possible next action to "
        "accomplish your goal. Your answer will be interpreted and executed by a program, make sure to follow the "
        f"formatting instructions.\n\n## Goal:\n{goal}\n"
    )


def _axtree_heading(tree: str, flags: Flags) -> str:
    if flags.brief_instructions:
        return "\n## AXTree:\n"
    notes = (
        "\n## AXTree:\nNote: [bid] is the unique alpha-numeric identifier at the beginning of lines for each element in "
        "the AXTree. Always use bid to refer to elements in your actions.\n"
    )
    if has_tag(tree, flags.extract_coords):
        notes += f"Note: {_PLACES[flags.extract_coords]} provided in parentheses, relative to the top left corner of the viewport.\n"
    notes += _visible_only_note(flags)
    if flags.extract_visible_tag and has_tag(tree, "visible"):
        notes += (
            'Note: You can only interact with visible elements. If the "visible" tag is not present, the element is not '
            "visible on the page.\n"
        )
    return notes + "\n"


_PLACES = {
    "center": "center coordinates of elements are",
    "box": "bounding boxes of elements (left, top, right, bottom) are",
}


def _html_heading(flags: Flags) -> str:
    note = "" if flags.brief_instructions else _visible_only_note(flags)
    return f"\n## HTML:\n{note}\n" if note else "\n## HTML:\n"


def _visible_only_note(flags: Flags) -> str:
    return _VISIBLE_ONLY if flags.filter_visible_elements_only else ""


_VISIBLE_ONLY = (
    "Note: elements with a bid that are not visible in the viewport are left out. You might need to scroll the page, or open tabs "
    "or menus to see more.\n"
)


def _screenshot_note(flags: Flags) -> str:
    """What the picture is that comes before the text of the turn: TRL's trainers put a row's picture there."""
    return _SCREENSHOT_NOTE.format(_MARKED if flags.use_som else "")


def without_screenshot_note(text: str) -> str:
    """A rendered turn as it is without its screenshot."""
    for marked in ("", _MARKED):
        text = text.replace(_SCREENSHOT_NOTE.format(marked), "")
    return text


_SCREENSHOT_NOTE = "\n## Screenshot:\nThe image before this text shows the page{}.\n"
_MARKED = ", with a box and the bid around each element"


def _axtree(axtree: str, flags: Flags) -> str:
    """The tree with only those of its tags and places that the flags ask for."""
    shown = {"visible": flags.extract_visible_tag, "clickable": flags.extract_clickable_tag}
    shown |= {form: flags.extract_coords == form for form in _PLACES}
    unwanted = {tag for tag, wanted in shown.items() if not wanted}
    return without_tags(axtree, unwanted).strip("\n")


def _history(history: Sequence[Turn], flags: Flags) -> str:
    if not (flags.use_action_history or flags.use_think_history):
        return ""
    lines = ["\n# History of interaction with the task:\n"]
    for number, turn in enumerate(history):
        lines.append(f"\n## Step {number}\n")
        if flags.use_think_history and turn.thought:
            lines.append(f"<think>\n{turn.thought}\n</think>\n")
        if flags.use_action_history:
            lines.append(f"<action>\n{turn.action}\n</action>\n")
        if flags.use_error_logs and turn.error:
            lines.append(f"Error: {turn.error.splitlines()[0]}\n")
    return "".join(lines)


def _action_space(flags: Flags) -> str:
    names = flags.action_names
    several = "Several actions may be given, one a line; they run in order, and you see the page after the last."
    count = several if flags.multi_actions else "Only a single action can be provided at once."
    if flags.brief_action_space:
        return f"\n# Action space:\n{len(names)} different types of actions are available.\n\n{signatures(names)}\n{count}\n"
    return (
        "\n# Action space:\nNote: This action set allows you to interact with your environment. Most of them are python "
        "functions executing playwright code. The primary way of referring to elements in the page is through bid which "
        f"are specified in your observations.\n\n{len(names)} different types of actions are available.\n\n"
        f"{describe(names, descriptions=flags.long_description, examples=flags.individual_examples)}\n{count}\n"
    )


def _concrete_example(flags: Flags) -> str:
    if flags.brief_instructions:
        thought = f'The goal asks for the link with the bid "{EXAMPLE_BID}".'
        return f"\n# Concrete Example\n{_example(thought, flags)}\n"
    thought = (
        'From previous action I tried to set the value of year to "2022", using select_option, but it doesn\'t appear to '
        f'be in the form. It may be a dynamic dropdown, I will try using click with the bid "{EXAMPLE_BID}" and look at '
        "the response from the page."
    )
    return (
        "\n# Concrete Example\nHere is a concrete example of how to format your answer.\n"
        f"Make sure to follow the template with proper tags:\n\n{_example(thought, flags)}\n"
    )


def _example(thought: str, flags: Flags) -> str:
    return answer(f"click('{EXAMPLE_BID}')", thought if flags.use_thinking else None)
