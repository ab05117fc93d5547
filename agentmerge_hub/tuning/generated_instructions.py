"""General requests with exact answers, generated from a seed: what keeps a merge near its instruct model without a file of the user's.

None of them is a web task. An answer follows from its request, so that it is right whatever the model; the distance from the
instruct model is measured on its tokens.
"""

import json
import random
from collections.abc import Callable

from datasets import Dataset

_NAMES = ("Amara", "Björn", "Chen", "Dalia", "Emeka", "Fatima", "Goran", "Hana", "Ivo", "Jun", "Kofi", "Lena")
_THINGS = (
    "apple", "bridge", "candle", "desk", "engine", "feather", "garden", "hammer", "island", "jacket", "kettle", "lantern",
    "mirror", "needle", "orange", "pencil", "quilt", "river", "saddle", "table", "umbrella", "violin", "window", "yarn",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_TOWNS = ("Accra", "Bergen", "Cusco", "Dakar", "Essen", "Fukuoka", "Graz", "Hanoi")

Request = tuple[str, str]
"""Question and answer."""


def generate(count: int, seed: int) -> Dataset:
    """Prompt/completion chat rows, no question twice; as many of each kind as of every other."""
    rng = random.Random(seed)
    answers: dict[str, str] = {}
    while len(answers) < count:
        for kind in _KINDS:
            question, answer = kind(rng)
            answers.setdefault(question, answer)
    rows = [
        {
            "prompt": [{"role": "user", "content": question}],
            "completion": [{"role": "assistant", "content": answer}],
        }
        for question, answer in list(answers.items())[:count]
    ]
    return Dataset.from_list(rows)


def _things(rng: random.Random, fewest: int = 3, most: int = 6) -> list[str]:
    return rng.sample(_THINGS, rng.randint(fewest, most))


def _sort(rng: random.Random) -> Request:
    words = _things(rng)
    return f"Sort these words alphabetically, separated by commas: {', '.join(words)}.", ", ".join(sorted(words))


def _reverse(rng: random.Random) -> Request:
    words = _things(rng)
    return f"Write this list in reverse order, one word per line: {', '.join(words)}.", "\n".join(reversed(words))


def _number_list(rng: random.Random) -> Request:
    words = _things(rng)
    answer = "\n".join(f"{number}. {word}" for number, word in enumerate(words, 1))
    return f"Turn this into a numbered list: {', '.join(words)}.", answer


def _count(rng: random.Random) -> Request:
    words = _things(rng, 3, 9)
    question = f"How many items are in this list? {', '.join(words)}. Answer in one sentence."
    return question, f"There are {len(words)} items in the list."


def _sequence(rng: random.Random) -> Request:
    first, step, length = rng.randint(1, 40), rng.randint(1, 9), rng.randint(4, 8)
    numbers = [str(first + step * index) for index in range(length)]
    question = f"Start at {first} and add {step} each time. Write the first {length} numbers, separated by spaces."
    return question, " ".join(numbers)


def _add(rng: random.Random) -> Request:
    one, other = rng.randint(11, 89), rng.randint(11, 89)
    return f"What is {one} plus {other}? Show the calculation.", f"{one} + {other} = {one + other}"


def _compare(rng: random.Random) -> Request:
    one, other = rng.sample(range(100, 1000), 2)
    question = f"Which number is larger, {one} or {other}? Answer in a full sentence."
    return question, f"{max(one, other)} is larger than {min(one, other)}."


def _as_json(rng: random.Random) -> Request:
    name, town, age = rng.choice(_NAMES), rng.choice(_TOWNS), rng.randint(18, 80)
    question = f"{name} is {age} years old and lives in {town}. Write this as JSON with the keys name, age and town."
    return question, json.dumps({"name": name, "age": age, "town": town}, ensure_ascii=False)


def _look_up(rng: random.Random) -> Request:
    people = dict(zip(rng.sample(_NAMES, 4), rng.sample(_TOWNS, 4)))
    text = " ".join(f"{name} lives in {town}." for name, town in people.items())
    name = rng.choice(list(people))
    return f"{text} Where does {name} live? Answer in a full sentence.", f"{name} lives in {people[name]}."


def _weekday(rng: random.Random) -> Request:
    day, later = rng.randrange(7), rng.randint(2, 6)
    question = f"Today is {_DAYS[day]}. Which day is it in {later} days? Answer in a full sentence."
    return question, f"In {later} days it is {_DAYS[(day + later) % 7]}."


def _upper(rng: random.Random) -> Request:
    sentence = f"{rng.choice(_NAMES)} carries the {rng.choice(_THINGS)} to {rng.choice(_TOWNS)}"
    return f"Rewrite this sentence in capital letters: {sentence}.", f"{sentence}.".upper()


def _replace(rng: random.Random) -> Request:
    old, new = rng.sample(_THINGS, 2)
    sentence = f"{rng.choice(_NAMES)} puts the {{}} beside the other {{}}."
    question = f"Replace every “{old}” by “{new}” in this sentence: {sentence.format(old, old)}"
    return question, sentence.format(new, new)


_KINDS: tuple[Callable[[random.Random], Request], ...] = (
    _sort, _reverse, _number_list, _count, _sequence, _add, _compare, _as_json, _look_up, _weekday, _upper, _replace,
)  # fmt: skip
