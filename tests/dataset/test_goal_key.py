"""Goals that say the same have one key; goals that ask for different things have two."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.dataset.selection.goal_key import goal_key

INVISIBLE = "\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200d\u2060\u2800\u3164\ufe0f\ufeff\uffa0\x00\x1b\x1f\U000e0100\U000e0041"
WORDS = st.text("abcxyz019", min_size=1, max_size=6)
SYMBOLS = "<>=+*/%#@$&|~^()[]{}\\-_\"'`≤≥→←×€"
SAME_SYMBOLS = ("'`",)


@given(goal=st.text(max_size=40))
def test_a_key_is_empty_for_an_empty_goal_alone(goal: str) -> None:
    assert bool(goal_key(goal)) == bool(goal)


@given(
    goal=st.text(st.characters(codec="utf-8", exclude_categories=["M"]), max_size=30),
    blank=st.sampled_from(INVISIBLE),
    place=st.integers(0, 30),
)
def test_what_is_invisible_does_not_count(goal: str, blank: str, place: int) -> None:
    changed = goal[:place] + blank + goal[place:]
    assert goal_key(changed) == (goal_key(goal) or " ")


@given(words=st.lists(WORDS, min_size=1, max_size=5), end=st.sampled_from([".", "!", "...", "?", " "]))
def test_case_spacing_and_the_punctuation_behind_words_do_not_count(words: list[str], end: str) -> None:
    key = goal_key(" ".join(words))
    for goal in (
        "\u00a0 ".join(words).upper() + end,
        ", ".join(words) + end,
        ";\n".join(words),
        unicodedata.normalize("NFD", "  ".join(words)),
    ):
        assert goal_key(goal) == key


@given(one=WORDS, other=WORDS, glue=st.sampled_from(["", " "]), symbols=st.permutations(SYMBOLS))
def test_every_symbol_counts(one: str, other: str, glue: str, symbols: list[str]) -> None:
    goals = [glue.join((one, symbol, other)) for symbol in symbols[:2]] + [f"{one} {other}"]
    if "".join(sorted(symbols[:2])) not in SAME_SYMBOLS:
        assert len({goal_key(goal) for goal in goals}) == 3, goals


@pytest.mark.parametrize(
    "goals",
    [
        ("[1,2)", "(1,2]", "[1,2]", "(1,2)", "1,2", "12"),
        ("x < 5", "x > 5", "x ≤ 5", "x = 5", "x != 5", "x 5"),
        ("Type \"a\" and \"b\"", "Type \"a and b\"", "Type a and b"),
        ("Enter \"Why?\"", "Enter \"Why!\"", "Enter \"Why\""),
        ("Enter 'one, two'", "Enter 'one two'"),
        ("Type .", "Type ,", "Type ?", "Type"),
        ("Set it to 5'", "Set it to 5\"", "Set it to 5"),
        ("2*(3+4)", "2*3+4"), ("(a+b) * c", "a+b * c"), ("a|b", "a b"), ("*.txt", ".txt"), ("C++", "C#"), ("Open (draft)", "Open [draft]"),
        ("x²", "x2", "x^-2"), ("1½", "11/2"), ("3.5", "35", "3 5"), ("-5", "5"), ("more than .5", "more than 5"), ("1,234", "1, 234"), ("$5", "€5"),
    ],
)  # fmt: skip
def test_goals_that_ask_for_different_things_differ(goals: tuple[str, ...]) -> None:
    assert len({goal_key(goal) for goal in goals}) == len(goals)


@pytest.mark.parametrize(
    "goals",
    [
        ("Say “hi”, then go.", "say \"hi\" then go", "Say «hi» then go", "say ‘hi’ then go!"),
        ("[1,2)", "[ 1, 2 )"), ("red,green", "Red, green"), ("x<5", "x < 5"), ("a \u2013 b", "a - b", "a−b"), ("½", "1⁄2", "1/2"), ("ﬁne", "fine"),
        ("ＡＢＣ５", "abc5"), ("e\u200b\u0301", "\u00e9"), ("don’t", "don't"), ("Loading…", "Loading...", "loading"), ("key:value", "key: value"),
    ],
)  # fmt: skip
def test_goals_that_say_the_same_are_one(goals: tuple[str, ...]) -> None:
    assert len({goal_key(goal) for goal in goals}) == 1
