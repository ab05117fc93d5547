"""Answers are written and read back; thought and action are found in every form that models write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.prompt import ADVANCED, BASIC, ParseError, action_texts, answer, parse, thought_of

CALL = "<action>\nclick('1')\n</action>"


@given(
    thought=st.text(st.characters(exclude_characters="<>[]\r", exclude_categories=["C", "P", "Zl", "Zp"])) | st.none()
)
def test_answers_are_read_back(thought: str | None) -> None:
    read = parse(answer("click('a51')", thought), ADVANCED)
    assert read.action == "click('a51')"
    assert read.thought == ((thought or "").strip() or None)


PAIRS = (
    ("<think>", "</think>"),
    ("", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<THINK>", "</THINK>"),
    ("[THINK]", "[/THINK]"),
    ("<thought>", "</thought>"),
)
"""Tags with which a model can think nothing."""


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        (CALL, None),
        (f"<think>\n\n</think>\n\n{CALL}", None),
        (f"<think>I press it.</think>{CALL}", "I press it."),
        (f"<thinking>\nI press it.\n</thinking>\n{CALL}", "I press it."),
        (f"I press it.\n</think>\n\n{CALL}", "I press it."),
        (f"<think>I press it.\n{CALL}", "I press it."),
        (f"<think>One.</think> and <think>two.</think>{CALL}", "One.\ntwo."),
        (f"<think></think>I press it.{CALL}", "I press it."),
        (f"<THINK>I press it.</Think >{CALL}", "I press it."),
        (f"[THINK]I press it.[/THINK]{CALL}", "I press it."),
        (f"<thought>I press it.</thought>{CALL}", "I press it."),
        (f"<reasoning>I press it.</reasoning>{CALL}", "I press it."),
        *((f"{opening}\u200b \u00ad{closing}{CALL}", None) for opening, closing in PAIRS),
        *((f"<think>{dots}</think>{CALL}", None) for dots in ("...", "\u2026", "-", "<br>", "None", "null.")),
        (f"<plan></plan>{CALL}", None),
        (f"<plan>I press it.</plan>{CALL}", "<plan>I press it.</plan>"),
        (f"I press it.\n{CALL}", "I press it."),
        (f"{CALL}\nbecause it says so", "because it says so"),
        ("<think>I use <action>noop()</action> later</think>", "I use <action>noop()</action> later"),
        ("I press it.\n```python\nclick('1')\n```", "I press it."),
        ("<action>click('1')", None),
        ("click('1')", None),
        ("I think that click('1') sends it.", "I think that \n sends it."),
        ("# press it now\nclick('1')", "# press it now"),
        ("\u6211\u70b9\u51fb click('1')", "\u6211\u70b9\u51fb"),
        ("1. Action: click('1')", None),
        ("fill('1', 'I think so')", None),
        ("No call at all.", None),
        ('{"state": {"thought": "I press it."}, "action": ["click(\'1\')"]}', "I press it."),
        ('{"thought": "", "next action": "click(\'1\')"}', None),
    ],
)
def test_the_thought_of_an_answer(text: str, thought: str | None) -> None:
    assert thought_of(text) == thought


@pytest.mark.parametrize(
    ("text", "thought"),
    [("I press it.", "I press it."), ("<think>One.</think>Two.", "One."), ("<think>One.", "One."), ("", None)]
    + [(f"{opening}\n{closing}\n", None) for opening, closing in PAIRS],
)
def test_the_text_beside_tool_calls_is_a_thought(text: str, thought: str | None) -> None:
    assert thought_of(text, has_action=False) == thought


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<action>click('1')</action> then <action>noop()</action>", "click('1')\nnoop()"),
        ("<action>```python\nclick('1')\n```</action>", "click('1')"),
        ("<action>I press OK: click('1') noop()</action>", "click('1')\nnoop()"),
        ("I press it.\n```python\nclick('1')\n```\nand ```noop()```", "click('1')\nnoop()"),
    ],
)
def test_an_answer_is_read_as_agentlab_reads_it(text: str, action: str) -> None:
    assert parse(text, ADVANCED).action == action
    generic = pytest.importorskip("agentlab.agents.generic_agent.generic_agent_prompt")
    dynamic = pytest.importorskip("agentlab.agents.dynamic_prompting")
    highlevel = pytest.importorskip("browsergym.core.action.highlevel")
    assert generic
    theirs = dynamic.ActionPrompt(
        highlevel.HighLevelActionSet(["bid"]), dynamic.ActionFlags(is_strict=False)
    ).parse_answer(text)
    assert next(action_texts(text)) == theirs["action"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("click('1')", "holds no action"),
        ("<action>press_it</action>", "could not be read"),
        ("<action>click('1')\nclick('2')</action>", "Only one action"),
        ("<action>goto('http://a')</action>", "'goto' is not an action"),
    ],
)
def test_a_bad_answer_says_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(ParseError, match=says):
        parse(text, BASIC)


@pytest.mark.parametrize(
    "text", ["<action>", "<think>", "</think>", "```", "<thinking><action>", "a click('1') b ", '{"a":', "a("]
)
def test_long_answers_are_read_in_linear_time(text: str) -> None:
    long = text * 60_000  # with quadratic work this would not end
    thought_of(long)
    assert list(action_texts(long))
