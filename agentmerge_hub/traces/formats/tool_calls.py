"""Recordings of agents that call tools: a call is an object, and the page is what came back after the call before."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agentmerge_hub.records import Observation, Step
from agentmerge_hub.traces.formats.answers import read_action
from agentmerge_hub.traces.values import as_text


def call_text(name: str, arguments: dict[str, Any]) -> str:
    """A tool call as BrowserGym's environment takes it, e.g. ``click(bid='13')``."""
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


@dataclass
class Turns:
    """The steps of one recording: alternately the page that came back and the decision that followed."""

    goal: str = ""
    steps: list[Step] = field(default_factory=list)
    page: Observation | None = None
    """The page before the next decision."""

    def see(
        self, *, axtree: str = "", html: str = "", url: str = "", focused_bid: str | None = None, error: str = ""
    ) -> None:
        """Note the page that came back. An empty one, as of a call that changed nothing visible, keeps the page before."""
        title, root_url = root_of_tree(axtree)
        last = self.steps[-1].action or self.steps[-1].executed if self.steps else ""
        if not (axtree or html) and self.page is not None:
            axtree, html, url = self.page.axtree, self.page.html, url or self.page.url
            title, focused_bid = self.page.title, focused_bid or self.page.focused_bid
        self.page = Observation(
            goal=self.goal,
            axtree=axtree,
            html=html,
            focused_bid=focused_bid,
            last_action=last,
            last_action_error=error,
            url=url or root_url,
            title=title,
        )

    def act(self, calls: Iterable[str], *, answer: str = "", thought: str | None = None, **facts: Any) -> None:
        """Add a decision: its calls as text, in order. It has no action where one of them cannot be read: what is left without it is
        another one."""
        executed = "\n".join(calls)
        is_read = all(read_action(call).action for call in executed.split("\n"))
        self.steps.append(
            Step(
                index=len(self.steps),
                observation=self.page or Observation(goal=self.goal),
                answer=answer,
                action=read_action(executed).action if is_read else None,
                executed=executed,
                thought=thought,
                **facts,
            )
        )

    def act_outside(self, text: str, *, thought: str | None = None, **facts: Any) -> None:
        """Add a decision that the browser carried out nothing of: code for an interpreter, or a message."""
        page = self.page or Observation(goal=self.goal)
        self.steps.append(
            Step(len(self.steps), page, action=None, executed=text.strip(), thought=thought, **{"answer": ""} | facts)
        )


_ROOT = re.compile(r"""\A\s*(?:\[\w+\] )?RootWebArea (?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")""")
_URL = re.compile(r", url='([^'\n]*)'")


def root_of_tree(axtree: str) -> tuple[str, str]:
    """Title and URL from the root line of BrowserGym's tree; empty where it has none."""
    line = axtree.lstrip("\n").partition("\n")[0]
    root = _ROOT.match(line)
    url = _URL.search(line) if root else None
    return (root[1] or root[2] or "" if root else ""), (url[1] if url else "")


def text_of_parts(content: Any) -> str:
    """The text of a message: a text, or a list of parts of which images are left out."""
    if isinstance(content, list):
        return "\n".join(as_text(part.get("text")) for part in content if isinstance(part, dict) and part.get("text"))
    return as_text(content)


def media_of_parts(content: Any) -> set[str]:
    """What a message has beside text: images, audio, other parts."""
    kinds = (
        {as_text(part.get("type")) for part in content if isinstance(part, dict)}
        if isinstance(content, list)
        else set()
    )
    return {_MEDIA.get(kind, "parts of an unknown type") for kind in kinds - {"text"}}


_MEDIA = {"image": "images", "audio": "audio"}
