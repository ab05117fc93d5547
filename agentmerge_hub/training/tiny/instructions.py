"""Chat rows for the tiny instruct model: short general requests and their answers, none of them an agent's task."""

import random

from agentmerge_hub.records import Message
from agentmerge_hub.training.tiny.pages import Page, page
from agentmerge_hub.training.tiny.words import made_up, word


def instruction(rng: random.Random) -> tuple[list[Message], list[Message]]:
    """One row: the prompt's messages and the completion's."""
    question, answer = rng.choices((_find_bid, _find_name, _copy, _list), (5, 2, 2, 1))[0](rng)
    return [{"role": "user", "content": question}], [{"role": "assistant", "content": answer}]


def _ask(rng: random.Random, request: str, shown: Page) -> str:
    return f"{request}\n\n{shown.tree}" if rng.random() < 0.7 else f"{shown.tree}\n\n{request}"


def _find_bid(rng: random.Random) -> tuple[str, str]:
    shown = page(rng)
    sought = [(f'the {e.role} "{e.name}"', e) for e in shown.named]
    sought += [(f"the {place}", e) for place, e in shown.ordinals()]
    if not sought:
        return _copy(rng)
    name, element = rng.choice(sought)
    form = rng.choice(("What is the bid of {}?", "Find {}.", "Give the bid of {}.", "Where is {}?"))
    return _ask(rng, form.format(name), shown), str(element.bid)


def _find_name(rng: random.Random) -> tuple[str, str]:
    shown = page(rng)
    if not shown.named:
        return _copy(rng)
    element = rng.choice(shown.named)
    form = rng.choice(("Which element has bid {}?", "What is {}?", "Name the element {}."))
    return _ask(rng, form.format(element.bid), shown), f'the {element.role} "{element.name}"'


def _copy(rng: random.Random) -> tuple[str, str]:
    text = made_up(rng) if rng.random() < 0.5 else word(rng)
    form = rng.choice(('Copy the word "{}".', 'Write "{}".', 'Say "{}", please.', 'Repeat: "{}"'))
    return form.format(text), text


def _list(rng: random.Random) -> tuple[str, str]:
    words = [word(rng) for _ in range(rng.randint(2, 5))]
    place = rng.randrange(len(words))
    ordinal = ("first", "second", "third", "fourth", "fifth")[place]
    return f"What is the {ordinal} word? {', '.join(words)}", words[place]
