"""Synthetic text for the tiny base model: accessibility trees and lists, with look-ups and copies.

It has no instruction, no chat and no action. Every document ends in lines that can only be predicted by finding their
content above: a fine-tuned agent needs this ability to turn a goal's words into a bid.
"""

import random
from dataclasses import dataclass

from agentmerge_hub.training.tiny.words import LATIN, made_up, phrase, word

ROLES = ("button", "button", "button", "textbox", "textbox", "link", "checkbox", "radio", "tab", "heading", "option")
ORDINALS = ("1st", "2nd", "3rd", "4th", "5th")


@dataclass(frozen=True)
class Element:
    """A line of a tree with a bid. Names are unique within a page; text boxes often have none."""

    bid: int
    role: str
    name: str


@dataclass(frozen=True)
class Page:
    """An accessibility tree as text, and its elements."""

    tree: str
    elements: tuple[Element, ...]

    @property
    def named(self) -> list[Element]:
        return [element for element in self.elements if element.name]

    def ordinals(self) -> list[tuple[str, Element]]:
        """Elements of roles that occur several times, each with its ordinal: ``("2nd textbox", element)``."""
        found = []
        for role in sorted({element.role for element in self.elements}):
            same = [element for element in self.elements if element.role == role]
            if len(same) > 1:
                found += [(f"{ordinal} {role}", element) for ordinal, element in zip(ORDINALS, same)]
        return found


def page(rng: random.Random, most: int = 9) -> Page:
    """A page of 2 to `most` elements, laid out as BrowserGym prints a tree."""
    lines, elements, names = [f"RootWebArea '{phrase(rng)}', focused"], [], set()
    bid = rng.randint(8, 30)
    for _ in range(rng.randint(2, most)):
        depth = "\t" * (1 if rng.random() < 0.7 else 2)
        if rng.random() < 0.2:
            lines.append(f"{depth}StaticText '{' '.join(rng.choices(LATIN, k=rng.randint(1, 4)))}'")
        role = rng.choice(ROLES)
        name = "" if role == "textbox" and rng.random() < 0.7 else phrase(rng, 2)
        if name.lower() in names:
            continue
        if name:
            names.add(name.lower())
        elements.append(Element(bid, role, name))
        lines.append(f"{depth}[{bid}] {role} '{name}'{_properties(rng, role)}")
        bid += rng.choice((1, 1, 1, 2, 3, 4))
    return Page("\n".join(lines), tuple(elements))


def _properties(rng: random.Random, role: str) -> str:
    if role in ("checkbox", "radio"):
        return f", checked='{rng.choice(('true', 'false'))}'"
    return ", focused" if rng.random() < 0.08 else ""


def document(rng: random.Random, easy: bool = False) -> tuple[str, str]:
    """One text of the base model's training set, in two parts: the page, and what can be looked up in it.

    Easy ones have pages of a few elements and look-ups only.
    """
    given, found = rng.choices(*(_EASY if easy else _ALL))[0](rng, 4 if easy else 9)
    return f"<|bos|>{given}", f"{found}<|end|>"


def _quoted(rng: random.Random, text: str) -> str:
    return rng.choice(("'{}'", '"{}"')).format(text)


def _noted_before(rng: random.Random, most: int) -> tuple[str, str]:
    """Names before the tree, their bids after it; some words are listed before only to be copied after."""
    shown = page(rng, most)
    sought = [(_quoted(rng, e.name), e) for e in shown.named] + shown.ordinals()
    sought = rng.sample(sought, min(len(sought), rng.randint(1, 4)))
    kept = [word(rng) if rng.random() < 0.5 else made_up(rng) for _ in range(rng.randint(0, 2))]
    before = ", ".join([name for name, _ in sought] + [_quoted(rng, text) for text in kept])
    after = [f"{name} {element.bid}" for name, element in sought] + [f"'{text}'" for text in kept]
    return f"{before}\n{shown.tree}\n", "\n".join(after)


def _index(rng: random.Random, most: int) -> tuple[str, str]:
    """A tree, then its elements in another order, each with its bid or the other way round."""
    shown = page(rng, most)
    elements = rng.sample(shown.named, len(shown.named))
    form = rng.choice(("'{e.name}' {e.bid}", "[{e.bid}] {e.role} '{e.name}'"))
    return f"{shown.tree}\n", "\n".join(form.format(e=e) for e in elements)


def _sentences(rng: random.Random, most: int) -> tuple[str, str]:
    shown = page(rng, most)
    forms = (
        lambda e: f"The {e.role} {_quoted(rng, e.name)} has bid {e.bid}.",
        lambda e: f"Bid {e.bid} is the {e.role} {_quoted(rng, e.name)}.",
        lambda e: f"{_quoted(rng, e.name)} is the {e.role} with bid {e.bid}.",
    )
    lines = [rng.choice(forms)(e) for e in rng.sample(shown.named, len(shown.named))]
    lines += [f"The {place} has bid {e.bid}." for place, e in shown.ordinals()]
    return f"{shown.tree}\n", "\n".join(lines)


def _pairs(rng: random.Random, most: int) -> tuple[str, str]:
    """Pairs of number and word, then the same pairs shuffled, as they were or turned round."""
    words = sorted({word(rng) for _ in range(rng.randint(2, most))})
    pairs = [(str(rng.randint(0, 99)), text) for text in words]
    rng.shuffle(pairs)
    given = "\n".join(" ".join(pair) for pair in pairs)
    turned = rng.random() < 0.6
    rng.shuffle(pairs)
    return f"{given}\n\n", "\n".join(" ".join(reversed(pair) if turned else pair) for pair in pairs)


def _repeats(rng: random.Random, most: int) -> tuple[str, str]:
    """Words, then the same words again."""
    words = " ".join(made_up(rng) if rng.random() < 0.3 else word(rng) for _ in range(rng.randint(3, most + 3)))
    return f"{words}\n", words


def _pointed(rng: random.Random, most: int) -> tuple[str, str]:
    """One name before or after the tree, and only its bid after both."""
    shown = page(rng, most)
    sought = [
        (f"{rng.choice(('', e.role + ' '))}{_quoted(rng, e.name)}", e) for e in shown.named
    ] * 2 + shown.ordinals()
    if not sought:
        return _repeats(rng, most)
    name, element = rng.choice(sought)
    line = rng.choice(("{}", "About {}.", "{}:", "The {} here.", "See {}")).format(name)
    given = f"{line}\n{shown.tree}\n" if rng.random() < 0.7 else f"{shown.tree}\n{line}\n"
    return given, rng.choice(("{}", "It is {}.", "bid {}", "[{}]", "at '{}'", '("{}")')).format(element.bid)


_EASY = ((_index, _noted_before, _pairs, _pointed), (2, 2, 1, 3))
_ALL = ((_noted_before, _index, _sentences, _pairs, _repeats, _pointed), (3, 1, 1, 1, 1, 4))
"""Kinds of documents and how often each is drawn."""
