"""Pages made by chance with something to do on them, as prompt and completion rows: the instruct model's practice at finding elements.

    python grounding.py OUT INSTRUCTIONS.parquet ROWS MISTAKES

A page has one to four sections of a kind (buttons, links, tabs, check boxes, text fields, lists whose entries have buttons of their
own …), printed as BrowserGym prints accessibility trees; its words are those of the instructions. The goal names one to three
elements. In a quarter of the rows with several, the first are done: the history says so, and the page shows it. In the share MISTAKES of
the rows one or two steps of the history changed nothing: they clicked on something else, or named an element that cannot do
that or that the page does not have. No page or goal of MiniWoB is used.
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub import manifest
from agentmerge_hub.files import output_folder
from agentmerge_hub.prompt import ADVANCED, Turn, answer, render
from agentmerge_hub.records import Message, Observation

FLAGS = ADVANCED.model_copy(
    update={
        "use_thinking": False, "use_think_history": False, "action_space": "miniwob", "brief_instructions": True,
        "brief_action_space": True, "use_focused_element": False, "extract_visible_tag": False, "extract_clickable_tag": False,
    }
)  # fmt: skip
"""Those of the recipes beside this file."""
WORDS = 8_000
MOST_CHARACTERS = 1_900
"""Of a prompt: about 600 tokens."""
CLICKS = (
    'click on the "{0}" {1}',
    "click the {1} {0}",
    'press "{0}"',
    "click {0}",
    'click the {1} labeled "{0}"',
    "choose {0}",
)
ORDINALS = ("first", "second", "third", "fourth", "fifth")
MISTAKEN = ("button", "link", "heading", "paragraph", "listitem", "generic", "image", "menuitem")
"""A click on one of these leaves the page as it is."""
SUBMIT = ("Submit", "OK", "Send", "Save", "Search", "Next", "Apply", "Done", "Login", "Go")


@dataclass
class Node:
    """One line of the tree."""

    role: str
    name: str = ""
    depth: int = 1
    bid: str = ""
    value: str | None = None
    properties: dict[str, str] = field(default_factory=dict)

    def line(self) -> str:
        bid = f"[{self.bid}] " if self.bid else ""
        value = "" if self.value is None else f" value={self.value!r}"
        properties = "".join(f", {name}={value}" for name, value in self.properties.items())
        return "\t" * self.depth + f"{bid}{self.role} {self.name!r}{value}{properties}"


@dataclass
class Target:
    """Something to do: how a goal says it, the calls, and what they change on the page."""

    phrase: str
    calls: list[str]
    do: Callable[[], None] = lambda: None


class PageMaker:
    """One page by chance."""

    def __init__(self, draw: random.Random, words: list[str]) -> None:
        self.draw, self.words = draw, words
        self.nodes: list[Node] = []
        self.last_bid = draw.randint(10, 24)

    def add(self, role: str, name: str = "", depth: int = 1, *, bid: bool = True, **properties: str) -> Node:
        self.last_bid += self.draw.choice((1, 1, 1, 2, 3))
        self.nodes.append(node := Node(role, name, depth, str(self.last_bid) if bid else "", properties=properties))
        return node

    def text(self, name: str, depth: int = 1) -> None:
        self.add("StaticText", name, depth, bid=False)

    def name(self, most: int = 2) -> str:
        """Words, letters and digits, or a number."""
        kind = self.draw.random()
        if kind < 0.15:
            return "".join(
                self.draw.choices(
                    "abcdefghijkmnopqrstuvwxyzABCDEFGHKLMNPRSTUVWXYZ0123456789", k=self.draw.randint(2, 7)
                )
            )
        if kind < 0.2:
            return str(self.draw.randint(0, 999))
        text = " ".join(self.draw.choices(self.words, k=self.draw.randint(1, most)))
        return self.draw.choice((str.lower, str.title, str.capitalize, str.title))(text)

    def names(self, fewest: int, most: int, words: int = 2) -> list[str]:
        wanted = self.draw.randint(fewest, most)
        return list(dict.fromkeys(self.name(words) for _ in range(wanted)))

    def click(self, node: Node, kind: str, label: str = "") -> Target:
        phrase = self.draw.choice(CLICKS).format(label or node.name, kind)
        return Target(phrase, [f"click({node.bid!r})"])

    def buttons(self) -> list[Target]:
        nodes = [self.add("button", name) for name in self.names(1, 6)]
        named = [self.click(node, "button") for node in nodes]
        if len(nodes) in range(2, 6) and self.draw.random() < 0.2:
            place = self.draw.randrange(len(nodes))
            named.append(Target(f"click the {ORDINALS[place]} button", [f"click({nodes[place].bid!r})"]))
        return named

    def links(self) -> list[Target]:
        depth = self.draw.choice((1, 2))
        if depth == 2:
            self.add("paragraph")
        nodes = []
        for name in self.names(1, 6):
            self.text(" ".join(self.draw.choices(self.words, k=self.draw.randint(1, 9))).lower(), depth)
            nodes.append(self.add("link", name, depth, url=repr(f"{name.lower().replace(' ', '-')}.html")))
        return [self.click(node, "link") for node in nodes]

    def tabs(self) -> list[Target]:
        self.add("tablist", multiselectable="False", orientation="'horizontal'")
        nodes = []
        for name in self.names(2, 5):
            node = self.add("tab", name, 2, selected=str(not nodes))
            self.add("link", name, 3, url=repr(f"#{name.lower().replace(' ', '-')}"))
            nodes.append(node)
        phrases = ("switch to the tab {0}", 'open the "{0}" tab', "go to {0}", "click on the tab {0}")
        return [Target(self.draw.choice(phrases).format(node.name), [f"click({node.bid!r})"]) for node in nodes[1:]]

    def menu(self) -> list[Target]:
        self.add("menu", orientation="'vertical'")
        nodes = [self.add("menuitem", name, 2) for name in self.names(2, 6)]
        return [self.click(node, "menu item") for node in nodes]

    def boxes(self) -> list[Target]:
        role = self.draw.choice(("checkbox", "checkbox", "radio"))
        nodes = []
        for name in self.names(2, 9):
            self.add("LabelText")
            on = role == "checkbox" and self.draw.random() < 0.15
            nodes.append(self.add(role, name, 2, checked=repr(str(on).lower())))
            self.text(name, 2)
        if role == "radio":
            node = self.draw.choice(nodes)
            chosen = [node]
            phrase = self.draw.choice(("select {0}", "choose the option {0}", 'pick "{0}"')).format(node.name)
        else:
            chosen = self.draw.sample(nodes, self.draw.randint(1, min(5, len(nodes))))
            phrase = self.draw.choice(("check {0}", "select {0}", "tick the boxes {0}", "turn on {0}")).format(
                self.listed([node.name for node in chosen])
            )
        calls = [f"click({node.bid!r})" for node in chosen if node.properties["checked"] == "'false'"]
        return [Target(phrase, calls, lambda: [node.properties.update(checked="'true'") for node in chosen] and None)]

    def choices(self) -> list[Target]:
        label = self.name(1) if self.draw.random() < 0.6 else ""
        if label:
            self.text(label)
        names = self.names(2, 9)
        several = self.draw.random() < 0.25
        if several:
            box = self.add("listbox", label, multiselectable="True", orientation="'vertical'")
        else:
            box = self.add("combobox", label, hasPopup="'menu'", expanded="False")
            box.value = names[0]
            self.add("MenuListPopup", depth=2, bid=False)
        options = [
            self.add("option", name, 2 if several else 3, selected=str(not several and name == names[0]))
            for name in names
        ]
        picked = (
            self.draw.sample(names, self.draw.randint(1, min(3, len(names)))) if several else [self.draw.choice(names)]
        )
        where = f" in {label}" if label else self.draw.choice((" from the list", " in the list", ""))
        phrase = self.draw.choice(("select {0}{1}", "choose {0}{1}", "pick {0}{1}")).format(self.listed(picked), where)

        def do() -> None:
            box.value = None if several else picked[0]
            for option in options:
                option.properties["selected"] = str(option.name in picked)

        value = repr(picked) if several else repr(picked[0])
        return [Target(phrase, [f"select_option({box.bid!r}, {value})"], do)]

    def fields(self) -> list[Target]:
        targets = []
        for label in self.names(1, 4):
            inside = self.draw.random() < 0.5
            if inside:
                self.add("LabelText")
            self.text(label + self.draw.choice(("", "", ":")), 1 + inside)
            node = self.add("textbox", label if inside else "", 1 + inside)
            value = self.name(3)
            phrase = self.draw.choice(
                (
                    'enter "{1}" into {0}',
                    'type "{1}" in the field {0}',
                    "fill {0} with {1}",
                    'set {0} to "{1}"',
                    "enter {1} as the {0}",
                )
            ).format(label, value)
            targets.append(
                Target(
                    phrase,
                    [f"fill({node.bid!r}, {value!r})"],
                    lambda node=node, value=value: setattr(node, "value", value),
                )
            )
        return targets

    def field_alone(self) -> list[Target]:
        node = self.add("textbox", self.draw.choice(("", "", self.name())))
        value = self.name(3)
        phrase = self.draw.choice(
            ('enter "{0}" into the text field', 'type "{0}"', "write {0} in the text box", 'search for "{0}"')
        )
        return [Target(phrase.format(value), [f"fill({node.bid!r}, {value!r})"], lambda: setattr(node, "value", value))]

    def entries(self) -> list[Target]:
        """A list in which every entry has the same buttons."""
        role = self.draw.choice(("button", "link", "image", "generic"))
        actions = self.names(1, 4, words=1)
        titles = self.names(2, 6)
        self.add("list")
        targets = []
        for title in titles:
            self.add("listitem", depth=2)
            self.text(title, 3)
            if self.draw.random() < 0.5:
                self.text(" ".join(self.draw.choices(self.words, k=self.draw.randint(2, 8))).lower() + ".", 3)
            for action in actions:
                node = self.add(role, action, 3)
                phrase = self.draw.choice(
                    (
                        'click "{0}" at {1}',
                        "{0} the entry {1}",
                        "find {1} and click on {0}",
                        'for "{1}", press {0}',
                        "{0} {1}",
                    )
                )
                targets.append(Target(phrase.format(action, title), [f"click({node.bid!r})"]))
            if self.draw.random() < 0.1:
                item = self.nodes[-1 - len(actions)]
                if item.role == "listitem":
                    targets.append(Target(f"open {title}", [f"click({item.bid!r})"]))
        return targets

    def values(self) -> list[Target]:
        """Names with values, one of which goes into a text field."""
        shown = {label: self.name(3) for label in self.names(1, 5)}
        for label, value in shown.items():
            if self.draw.random() < 0.5:
                self.text(f"{label}: {value}")
            else:
                self.text(label)
                self.text(value)
        label = self.draw.choice(list(shown))
        node = self.add("textbox", self.draw.choice(("", "", self.name())))
        phrase = self.draw.choice(
            ("enter the {0} into the text field", "type the value of {0}", "copy {0} to the text box")
        )

        def do() -> None:
            node.value = shown[label]

        return [Target(phrase.format(label), [f"fill({node.bid!r}, {shown[label]!r})"], do)]

    def mistake(self, avoid: set[str]) -> Turn:
        """A step that changes nothing; not one of the calls to avoid."""
        clickable = [node for node in self.nodes if node.role in MISTAKEN and f"click({node.bid!r})" not in avoid]
        kind = self.draw.random()
        if kind < 0.6 and clickable:
            return Turn(f"click({self.draw.choice(clickable).bid!r})")
        if kind < 0.8 and clickable:
            call = f"fill({self.draw.choice(clickable).bid!r}, {self.name(3)!r})"
            kinds = "<input>, <textarea> or [contenteditable]"
            return Turn(call, error=f"Error: Locator.fill: Error: Element is not an {kinds} element")
        bid = str(self.last_bid + self.draw.randint(1, 40))
        return Turn(f"click({bid!r})", error=f'ValueError: Could not find element with bid "{bid}"')

    def filler(self) -> list[Target]:
        if self.draw.random() < 0.4:
            self.add("heading", self.name(3))
        self.text(" ".join(self.draw.choices(self.words, k=self.draw.randint(2, 14))).capitalize() + ".")
        return []

    def listed(self, names: list[str]) -> str:
        return names[0] if len(names) == 1 else ", ".join(names[:-1]) + self.draw.choice((" and ", ", ")) + names[-1]


SECTIONS = (
    PageMaker.buttons, PageMaker.buttons, PageMaker.links, PageMaker.tabs, PageMaker.menu, PageMaker.boxes, PageMaker.boxes,
    PageMaker.choices, PageMaker.fields, PageMaker.field_alone, PageMaker.entries, PageMaker.entries, PageMaker.values, PageMaker.filler,
)  # fmt: skip


def make_row(draw: random.Random, words: list[str], mistakes: float = 0) -> dict[str, list[Message]]:
    """One page, its goal, and the answer; with this chance after steps that changed nothing."""
    while len((row := make_page(draw, words, mistakes))["prompt"][-1]["content"]) > MOST_CHARACTERS:
        pass
    return row


def make_page(draw: random.Random, words: list[str], mistakes: float) -> dict[str, list[Message]]:
    """The same of any length."""
    maker = PageMaker(draw, words)
    sections = [draw.choice(SECTIONS)(maker) for _ in range(draw.randint(1, 4))]
    asked = [draw.choice(targets) for targets in sections if targets]
    asked = draw.sample(asked, min(len(asked), draw.choice((1, 1, 2, 3)))) or [draw.choice(maker.buttons())]
    if draw.random() < 0.45:
        submit = maker.add("button", draw.choice(SUBMIT))
        asked.append(maker.click(submit, "button"))
    calls = [target.calls for target in asked]
    past: list[Turn] = []
    if len(asked) > 1 and asked[0].calls and any(calls[1:]) and draw.random() < 0.25:
        asked[0].do()
        past = [Turn("\n".join(calls.pop(0)))]
    wanted = [call for group in calls for call in group] or ["noop()"]
    if mistakes and draw.random() < mistakes:
        past += [
            maker.mistake({call for target in asked for call in target.calls}) for _ in range(draw.choice((1, 1, 2)))
        ]
    first, *others = [target.phrase for target in asked]
    goal = (
        first[0].upper() + first[1:] + "".join(draw.choice((", then ", " and ", ", and ")) + other for other in others)
    )
    title = maker.name(3)
    root = f"RootWebArea {title!r}, focused, url='{draw.choice(words).lower()}/{re.sub(r'[^a-z0-9]+', '-', title.lower())}.html'"
    tree = "\n".join([root, *(node.line() for node in maker.nodes)])
    error = past[-1].error if past else ""
    prompt = render(Observation(goal + draw.choice((".", ".", "")), tree, last_action_error=error), past, FLAGS)
    return {
        "prompt": list(prompt.messages()),
        "completion": [Message(role="assistant", content=answer("\n".join(wanted)))],
    }


def frequent_words(instructions: Path) -> list[str]:
    counts: Counter[str] = Counter()
    for messages in pq.read_table(instructions, columns=["prompt"])["prompt"].to_pylist():
        counts.update(set(re.findall(r"\b[a-z]{3,12}\b", messages[0]["content"])))
    return sorted(sorted(counts, key=lambda word: (-counts[word], word))[:WORDS])


def main(out: Path, instructions: Path, rows: int, mistakes: float) -> None:
    if (out / manifest.NAME).is_file():
        return
    words = frequent_words(instructions)
    draw = random.Random(1)
    table = pa.Table.from_pylist([make_row(draw, words, mistakes) for _ in range(rows)])
    with output_folder.new_folder(out, "grounding") as folder:
        pq.write_table(table, folder / "train.parquet")
        config = {"rows": rows, "mistakes": mistakes}
        manifest.write(folder, "grounding", inputs={"instructions": instructions.parent}, config=config)
    print(f"{out}: {rows:,} pages")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
