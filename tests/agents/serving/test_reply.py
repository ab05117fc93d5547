"""Every form in which servers send an answer is read, and no body raises."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.actions import parse_calls
from agentmerge_hub.agents.serving.reply import Reply, read_reply
from agentmerge_hub.prompt import ADVANCED, parse

ACTION = "<action>\nclick('14')\n</action>"


def body(**message: object) -> dict:
    return {"choices": [{"message": {"role": "assistant"} | message}]}


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": ACTION}, ACTION, ""),
        ({"content": [{"type": "text", "text": "<action>"}, {"type": "text", "text": "</action>"}]}, "<action></action>", ""),
        ({"content": [{"type": "thinking", "thinking": "First."}, {"type": "text", "text": ACTION}]}, ACTION, "First."),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "First."}]}, ACTION]}, ACTION, "First."),
        ({"content": ACTION, "reasoning_content": "First. "}, ACTION, "First."),
        ({"content": ACTION, "reasoning": "First."}, ACTION, "First."),
        ({"content": ACTION, "reasoning_content": [{"type": "text", "text": "First."}]}, ACTION, "First."),
        ({"content": [], "refusal": "I cannot help with that."}, "", ""),
        ({"content": {"type": "text", "text": ACTION}}, ACTION, ""),
        ({"content": "half \ud83d", "reasoning": "\udc00 a pair"}, "half \ufffd", "\ufffd a pair"),
        ({"content": None}, "", ""),
        ({"content": None, "reasoning_content": None, "tool_calls": None}, "", ""),
    ],
)  # fmt: skip
def test_content_and_reasoning(message: dict, text: str, reasoning: str) -> None:
    assert read_reply(body(**message)) == Reply(text, reasoning)


def test_tool_calls_become_an_action() -> None:
    calls = [
        {"type": "function", "function": {"name": "fill", "arguments": '{"bid": "13", "value": "it\'s"}'}},
        {"type": "function", "function": {"name": "functions.click", "arguments": {"bid": "14"}}},
    ]
    reply = read_reply(body(content="I fill the field.", tool_calls=calls))
    assert reply and reply.text == (
        "<think>\nI fill the field.\n</think>\n\n<action>\nfill(bid='13', value=\"it's\")\nclick(bid='14')\n</action>"
    )
    for arguments in ("", None):
        legacy = read_reply(body(content=None, function_call={"name": "noop", "arguments": arguments}))
        assert legacy and legacy.text == "<action>\nnoop()\n</action>"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fill", '{"bid": "13", "value": "An'),
        ("fill", '["13", "Ann"]'),
        ("fill", '{"bid": "13", "value": NaN}'),
        ("fill", {"element-id": "13", "value": "Ann"}),
        ("fill", {"bid": "13", "value": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["Ann"]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}),
        ("fill €", {"bid": "13", "value": "Ann"}),
        ("# fill", {"bid": "13", "value": "Ann"}),
        (None, {"bid": "13", "value": "Ann"}),
    ],
)
def test_of_tool_calls_with_one_that_cannot_be_read_none_is_carried_out(name: object, arguments: object) -> None:
    calls = [
        {"function": {"name": name, "arguments": arguments}},
        {"function": {"name": "click", "arguments": '{"bid": "14"}'}},
    ]
    assert read_reply(body(content="I send the form.", tool_calls=calls)) == Reply("I send the form.")


def test_the_end_of_an_action_within_a_tool_call_is_its_text() -> None:
    calls = [
        {"function": {"name": "fill", "arguments": {"bid": "13", "value": value}}}
        for value in ("</action>", "\\</action>")
    ]
    reply = read_reply(body(content=None, tool_calls=calls))
    assert reply and [call.arguments["value"] for call in parse_calls(parse(reply.text, ADVANCED).action)] == [
        "</action>",
        "\\</action>",
    ]


def test_usage_is_optional() -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 7}
    assert read_reply(body(content="a") | {"usage": usage}) == Reply("a", "", 100, 7)
    assert read_reply(body(content="a") | {"usage": {"prompt_tokens": "many"}}) == Reply("a")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "tool_calls", "function", "name", "arguments", "usage", "type", "text"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values)
def test_no_body_raises(value: object) -> None:
    for made in (
        value,
        {"choices": [{"message": value}]},
        {"choices": [{"message": {"content": value, "tool_calls": value}}]},
    ):
        reply = read_reply(json.loads(json.dumps(made)))
        assert reply is None or isinstance(reply.text, str)
