"""Dynamic prompting: an observation, the history and flags become chat messages; an answer becomes thought and action.

The dataset and the acting agent both render here, so that what a model is trained on is what it is asked. The sections
are those of the paper's Figure 5. Trimming to a window is `fit`'s; nothing here counts tokens.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field

from agentmerge_hub.actions import ACTION_SPACES, describe, parse_calls, signatures
from agentmerge_hub.records import Message, Observation

EXAMPLE_BID = "a324"
"""The bid of the concrete example; a model that copies it has not read the page (the paper's error analysis)."""

SYSTEM = (
    "You are an agent that solves a task on a web page for a user. At each turn you see the page and answer with your "
    "next action; it is carried out in the browser and you see the page again."
)
BRIEF_SYSTEM = "You act on a web page for a user."


class Flags(BaseModel):
    """What the prompt shows and what the answer must hold. Names follow AgentLab's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_space: str = Field("workarena", description="Name in agentmerge_hub.actions.ACTION_SPACES.")
    use_thinking: bool = Field(True, description="Chain of thought: the answer starts with <think>.")
    multi_actions: bool = Field(False, description="Several actions may be given at once, one a line.")
    use_ax_tree: bool = Field(True, description="Show the accessibility tree.")
    use_html: bool = Field(False, description="Show the pruned HTML.")
    use_focused_element: bool = Field(True, description="Name the focused element's bid.")
    use_error_logs: bool = Field(True, description="Show the error of the last action.")
    use_action_history: bool = Field(True, description="Show all earlier actions.")
    use_think_history: bool = Field(True, description="Show all earlier thoughts.")
    extract_visible_tag: bool = Field(True, description="Tag visible elements in the AXTree.")
    extract_clickable_tag: bool = Field(True, description="Tag clickable elements in the AXTree.")
    long_description: bool = Field(True, description="Describe each action in a sentence.")
    brief_action_space: bool = Field(False, description="Show each action's name and required arguments alone.")
    brief_instructions: bool = Field(False, description="Leave out the sentences that explain the prompt's parts.")
    individual_examples: bool = Field(True, description="Give examples of each action.")
    use_concrete_example: bool = Field(True, description="End with one worked answer.")

    def model_post_init(self, _context) -> None:
        if self.action_space not in ACTION_SPACES:
            raise ValueError(f"no action space {self.action_space!r}: use one of {', '.join(ACTION_SPACES)}")
        if not (self.use_ax_tree or self.use_html):
            raise ValueError("use_ax_tree or use_html must be on: the agent has to see the page")

    @property
    def action_names(self) -> tuple[str, ...]:
        return ACTION_SPACES[self.action_space]


ADVANCED = Flags(use_thinking=True, multi_actions=True)
"""The paper's stronger configuration: chain of thought and several actions at once."""

BASIC = Flags(use_thinking=False, multi_actions=False, use_think_history=False)
"""The paper's plain configuration: one action, no chain of thought."""


@dataclass(frozen=True)
class Turn:
    """One past step as the history shows it."""

    action: str
    thought: str | None = None
    error: str = ""


@dataclass(frozen=True)
class Block:
    """A stretch of the user turn. Only blocks named ``axtree`` or ``html`` may be cut."""

    text: str
    name: str = ""


@dataclass(frozen=True)
class Prompt:
    """A prompt before or after fitting: the system turn and the user turn in blocks. `Prompt.messages` joins them."""

    system: str
    blocks: tuple[Block, ...]

    def messages(self) -> tuple[Message, ...]:
        user = Message(role="user", content="".join(block.text for block in self.blocks))
        return (Message(role="system", content=self.system), user) if self.system else (user,)

    def block(self, name: str) -> str:
        """Text of the named block, empty if there is none."""
        return next((block.text for block in self.blocks if block.name == name), "")

    def with_block(self, name: str, text: str) -> "Prompt":
        return replace(self, blocks=tuple(replace(b, text=text) if b.name == name else b for b in self.blocks))

    @classmethod
    def from_recorded(cls, messages: Sequence[Message], observation: Observation) -> "Prompt":
        """A recorded prompt, word for word, with the observation's tree and HTML found in it as blocks that can be cut.

        A page that was cut when the prompt was sent is found as far as it goes, with the mark that says so.
        """
        system = "".join(message["content"] for message in messages if message["role"] == "system")
        blocks = [Block("".join(message["content"] for message in messages if message["role"] == "user"))]
        for name, text in (("axtree", observation.axtree.strip()), ("html", observation.html.strip())):
            for where, block in enumerate(blocks):
                shown = "" if block.name else _shown_part(text, block.text)
                if shown:
                    before, after = block.text.split(shown, 1)
                    blocks[where : where + 1] = [Block(before), Block(shown, name), Block(after)]
                    break
        return cls(system, tuple(block for block in blocks if block.text))


def _shown_part(page: str, text: str) -> str:
    """The lines of a page, from its first one on, that stand in a text, and the mark of a cut behind them; empty if not
    even the first three do."""
    if page in text:
        return page
    lines = page.split("\n")
    begin = text.find("\n".join(lines[:3]) + "\n") if len(lines) > 3 else -1
    if begin < 0:
        return ""
    shown = text[begin:].split("\n")
    same = next((n for n, (line, there) in enumerate(zip(lines, shown)) if line != there), min(len(lines), len(shown)))
    if same < len(shown) and lines_of_mark(shown[same]):
        lines, same = shown, same + 1
    return "\n".join(lines[:same])


def cut_mark(n: int) -> str:
    """The line that stands for `n` lines that were cut from the end of a page."""
    return f"... ({n} more {'line' if n == 1 else 'lines'} cut)"


def lines_of_mark(line: str) -> int:
    """How many lines a mark stands for, ours or AgentLab's; 0 if the line is none."""
    found = _MARK.fullmatch(line)
    return int(found[1] or found[2]) if found else 0


_MARK = re.compile(r"\.\.\. (?:\((\d{1,9}) more lines? cut\)|Deleted (\d{1,9}) lines to reduce prompt size\.)")


def render(observation: Observation, history: Sequence[Turn], flags: Flags) -> Prompt:
    """The prompt of one step.

    Args:
        observation: the page now.
        history: the steps before, oldest first.
        flags: what to show.
    """
    blocks = [Block(_instructions(observation.goal, flags))]
    blocks.append(Block("\n# Observation of current step:\n"))
    if flags.use_ax_tree:
        blocks += [Block(_axtree_heading(flags)), Block(_axtree(observation.axtree, flags), "axtree"), Block("\n")]
    if flags.use_html:
        blocks += [Block("\n## HTML:\n"), Block(observation.html.strip("\n"), "html"), Block("\n")]
    if flags.use_focused_element:
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


def _axtree_heading(flags: Flags) -> str:
    if flags.brief_instructions:
        return "\n## AXTree:\n"
    notes = (
        "\n## AXTree:\nNote: [bid] is the unique alpha-numeric identifier at the beginning of lines for each element in "
        "the AXTree. Always use bid to refer to elements in your actions.\n"
    )
    if flags.extract_visible_tag:
        notes += (
            'Note: You can only interact with visible elements. If the "visible" tag is not present, the element is not '
            "visible on the page.\n"
        )
    return notes + "\n"


_NAME = r"""(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_TAGGED = re.compile(
    rf"^(\s*\[\w+\] \w+(?: {_NAME})?(?: value=(?:{_NAME}|[\w.+-]+))?)((?:, (?:som|clickable|visible))+)", re.MULTILINE
)
"""A line of BrowserGym's tree with the tags it prints behind an element's name and value, before its properties."""


def _axtree(axtree: str, flags: Flags) -> str:
    """The tree with the tags that the flags ask for, where it was saved with more: as BrowserGym would print it."""
    unwanted = {
        tag for tag, shown in (("visible", flags.extract_visible_tag), ("clickable", flags.extract_clickable_tag))
        if not shown
    }  # fmt: skip

    def keep(match: re.Match[str]) -> str:
        tags = [tag for tag in match[2].split(", ")[1:] if tag not in unwanted]
        return ", ".join([match[1], *tags])

    return (_TAGGED.sub(keep, axtree) if unwanted else axtree).strip("\n")


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


def answer(action: str, thought: str | None = None) -> str:
    """The text of an answer: what a model is trained to write and what `parse` reads."""
    think = f"<think>\n{thought}\n</think>\n\n" if thought is not None else ""
    return f"{think}<action>\n{action}\n</action>"


@dataclass(frozen=True)
class Answer:
    """A parsed answer. `thought` is None where no think step was written, which the error analysis counts."""

    action: str
    thought: str | None


class ParseError(ValueError):
    """An answer that cannot be executed; the message is written to be sent back to the model."""


def parse(text: str, flags: Flags) -> Answer:
    """Read an answer back.

    A missing think step is not an error: the action can still be carried out, as in AgentLab.

    Raises:
        ParseError: without exactly one <action> tag, with a call outside the action space, or with several calls where
            one is allowed.
    """
    found = _tag("action", text)
    if len(found) != 1:
        raise ParseError(f"Answer with exactly one <action>…</action>; yours had {len(found)}.")
    try:
        calls = parse_calls(found[0], flags.action_names)
    except ValueError as error:
        raise ParseError(f"The action could not be read: {error}.") from None
    if len(calls) > 1 and not flags.multi_actions:
        raise ParseError(f"Only one action can be given at once; yours had {len(calls)}.")
    return Answer(found[0], thought_of(text))


def thought_of(text: str) -> str | None:
    """The think step of an answer, None if it has none."""
    return "\n".join(_tag("think", text)) if "<think>" in text else None


def _tag(name: str, text: str) -> list[str]:
    return [content.strip() for content in re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)]


def tree_bids(axtree: str) -> set[str]:
    """Bids that stand as ``[bid]`` at the beginning of a line of an AXTree."""
    return set(re.findall(r"^[ \t]*\[([a-zA-Z0-9]+)\] ", axtree, re.MULTILINE))


def html_bids(html: str) -> set[str]:
    """Bids that stand as ``bid="…"`` in BrowserGym's pruned HTML."""
    return set(re.findall(r'\bbid="([a-zA-Z0-9]+)"', html))


def page_bids(prompt: Prompt) -> set[str]:
    """Bids of the page a prompt still shows; history, focused element and examples do not count."""
    return tree_bids(prompt.block("axtree")) | html_bids(prompt.block("html"))
