"""The parser of actions finds what BrowserGym carries out, refuses what BrowserGym refuses, and ends on every input."""

import inspect
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.actions import PRIMITIVES, ActionError, parse_calls, written


def browsergyms(action: str) -> list[tuple[str, list, dict]] | None:
    """The calls that BrowserGym finds, with arguments bound as Python binds them; None if it refuses the action."""
    parsers = pytest.importorskip("browsergym.core.action.parsers")
    functions = pytest.importorskip("browsergym.core.action.functions")
    try:
        matches = parsers.highlevel_action_parser.search_string(action)
        found = []
        for name, arguments in itertools.chain(*matches.as_list()):
            if name not in PRIMITIVES:
                return None
            named = [a for a in arguments if isinstance(a, parsers.NamedArgument)]
            if len({a.name for a in named}) < len(named):
                return None
            positional = [a for a in arguments if not isinstance(a, parsers.NamedArgument)]
            bound = inspect.signature(getattr(functions, name)).bind(*positional, **{a.name: a.value for a in named})
            if any(key.endswith("bid") and not isinstance(value, str) for key, value in bound.arguments.items()):
                return None  # BrowserGym raises "expected a string"
            found.append((name, dict(bound.arguments)))
        json.dumps(found)  # sent to the browser
        return [(name, typed(arguments)) for name, arguments in found] or None
    except Exception:
        return None


def typed(value: Any) -> Any:
    """The value as Chromium types it: surrogate pairs joined, halves replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {typed(key): typed(inner) for key, inner in value.items()}
    return type(value)(map(typed, value)) if isinstance(value, list | tuple) else value


def ours(action: str) -> list[tuple[str, dict]] | None:
    try:
        calls = parse_calls(action)
    except ActionError as error:
        assert str(error)
        return None
    return [(call.name, call.arguments) for call in calls]


FORMS = [
    "click('13')",
    'click("13")',
    "click(bid='13')",
    "click ( '13' , )",
    "click('13', 'right', ['Shift', 'Alt'])",
    "click('13', button='left', modifiers=[],)",
    "fill('12' value='x')",
    "fill('12', 'a' 'b')",
    "fill('12', ('a'))",
    "fill('12', r'a')",
    "fill('12', b'a')",
    "fill('12', u'a')",
    "fill('12', f'a')",
    "fill('12', 'a\\'b')",
    "fill('12', 'a\\tb\\n\\x41\\u00e9')",
    "fill('12', '\\x4')",
    "fill('12', '\\N{BULLET}')",
    "fill('12', '\\N{NO SUCH}')",
    "fill('12', '\\d')",
    "fill('12', '\\ud83d')",
    "fill('12', '\\ud83d\\ude00')",
    "fill('12', 'a\tb')",
    "fill('12', 'a\nb')",
    "fill('12', '''a\nb''')",
    'fill("12", """a "quoted" b""")',
    "fill('12', 'it''s')",
    "fill('12', \"it's # not a comment\")",
    "fill('12', 'x', True)",
    "fill('12', 'x', Trueish)",
    "fill('12', None)",
    "fill('12', {'a': [1, (2,)]})",
    "noop()",
    "noop(500)",
    "noop(1_000)",
    "noop(-1.5e3)",
    "noop(.5)",
    "noop(5.)",
    "noop(0x10)",
    "noop(- 5)",
    "noop(1+1)",
    "noop(5wait_ms=3)",
    "click()",
    "click(13)",
    "click(a51)",
    "click['13']",
    "click('13'",
    "click('13'))",
    "click('1', 'left', [], 4)",
    "click('1', times=2)",
    "click('1', bid='1')",
    "click('1', button='left', button='right')",
    "click(button='left', '1')",
    "Click('13')",
    "tap('1')",
    "x = 1",
    "",
    " \n",
    "None",
    "page.click('13')",
    "a.a.a.a",
    "await click('13')",
    "1click('13')",
    "éclick('13')",
    "²click('13')",
    "click\n('13')",
    "click # why\n ('13' # here\n)",
    "# click('13')",
    "# a comment\nclick('13')  # click('14')\nclick('15')",
    "click('14') click('13')",
    "click('14'); click('13')",
    "click('14')click('13')",
    "I will click on Send: click('13')",
    "I use the button (13), then `click('13')`.",
    "As step (3) says, click('13')",
    "First I look.\n\n```python\nclick('13')\nnoop()\n```",
    "```click('13')```",
    "send_msg_to_user('it is (5)')",
    "fill('12', 'click(13)' 'b')",
    "fill('12', 'then noop()' 'b')",
    "scroll(0, 200)",
    "scroll_at(1, 2, 3, 4)",
    "mouse_move(65.2, 158.5)",
    "mouse_click(887.2, 68, 'right')",
    "mouse_dblclick(5, 236)",
    "mouse_down(1, 2)",
    "mouse_up(1, 2)",
    "mouse_drag_and_drop(10.7, 325, 235.6, 24.54)",
    "mouse_upload_file(1, 2, ['a', 'b'])",
    "keyboard_down('Shift')",
    "keyboard_up('Shift')",
    "keyboard_press('ControlOrMeta+a')",
    "keyboard_type('Hello')",
    "keyboard_insert_text('Hello')",
    "upload_file('572', ['/tmp/a', 'b'])",
    "drag_and_drop(from_bid='a', to_bid='b')",
    "select_option('48', ['red', 'green'])",
    "goto('http://a.b/c?d=e')",
    "go_back()\ngo_forward()",
    "new_tab()\ntab_focus(0)\ntab_close()",
    "report_infeasible('no field')",
]


@pytest.mark.parametrize("action", FORMS)
def test_a_form_is_read_as_browsergym_reads_it(action: str) -> None:
    assert ours(action) == browsergyms(action)


PIECE = st.sampled_from(
    ["click", "fill", "noop", "tap", "bid", "value", "wait_ms", "(", ")", "(", ")", "[", "]", "{", "}", ",", ":", "=",
     "'a'", "'", '"', '"b"', "'''", "\\", "1", "-2.5", "1e3", "_", ".", "True", "None", " ", "\n", "\t", "# c", "`", "é", "\r", "x"]
)  # fmt: skip
VALUE = st.recursive(
    st.text(max_size=6) | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.tuples(inner) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
).map(repr)  # fmt: skip
CALL = st.tuples(st.sampled_from(["fill", "click", "press"]), st.lists(VALUE, max_size=3)).map(
    lambda call: f"{call[0]}('12', {', '.join(call[1])})"
)


@given(action=st.lists(PIECE | CALL | VALUE, max_size=12).map("".join))
def test_any_text_is_read_as_browsergym_reads_it(action: str) -> None:
    assert ours(action) == browsergyms(action)


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ("click(a51)", "is not a function call"),
        ("tap('1')", "'tap' is not an action: use one of"),
        ("click('1', 'left', [], 4)", "at most 3"),
        ("click('1', times=2)", "no argument 'times'"),
        ("click('1', bid='2')", "two values for its argument 'bid'"),
        ("fill('1')", "fill needs the argument 'value'"),
        ("click(13)", "the bid of click must be a string"),
        ("fill('12', '\\N{NO SUCH}')", "is not a valid string"),
        (f"noop({'9' * 5000})", "too many digits"),
        ("click('\ud83d')", "half of a surrogate pair"),
        ("click(" + "[" * 5000, "nested more than"),
        ("noop() " * 1001, "more than 1000 calls"),
        ("", "there is no action"),
    ],
)
def test_a_refused_action_says_why(action: str, says: str) -> None:
    with pytest.raises(ActionError, match=says):
        parse_calls(action)


@pytest.mark.parametrize(
    "text",
    ["<action>", "click(", "click('", "click([", "click({'a': ", "click('''", "a.", "1+", "(", "#", "click(#\n", "a ", "'\\", "click('1') "],
)  # fmt: skip
def test_long_input_is_read_in_linear_time(text: str) -> None:
    # 400 KB: with quadratic work the test would not end.
    long = text * (400_000 // len(text))
    if text.startswith("click('1')"):
        assert len(parse_calls(long[:11_000])) == 1000
    with pytest.raises(ActionError):
        parse_calls(long)


@pytest.mark.parametrize("mark", ["'", '"', "'''", '"""'])
@pytest.mark.parametrize("escape", ["\\'", '\\"', "\\x41", "\\x4", "\\n", "\\\\", "\\"])
def test_a_string_that_is_never_closed_is_read_in_linear_time(mark: str, escape: str) -> None:
    # An expression that goes back to read an escape in another way needs 2^2000 steps.
    for end in ("", "\n')", f"{mark}{mark}", ")", f"{mark})"):
        few, many = (f"fill('12', {mark}{escape * n}{end}" for n in (3, 2000))
        assert ours(few) == browsergyms(few)
        ours(many)


def test_calls_are_written_one_a_line_without_the_text_around_them() -> None:
    action = "I press `click('14')` and then\n```\nfill('12',\n     'a # b')  # done\n```"
    assert written(parse_calls(action)) == "click('14')\nfill('12', 'a # b')"


def test_only_allowed_calls_are_read() -> None:
    assert parse_calls("click('1')", ("click",))[0].bids == ("1",)
    with pytest.raises(ActionError, match="'noop' is not an action: use one of click"):
        parse_calls("noop()", ("click",))
