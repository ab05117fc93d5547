"""The calls that an agent can make: signatures, action spaces, and their description in the prompt.

Signatures are those of BrowserGym's high-level action set (a test compares them); descriptions are ours.
"""

import ast
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Primitive:
    """One function of the action space."""

    signature: str
    description: str
    examples: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.signature.split("(", 1)[0]


_BUTTON = "button: Literal['left', 'middle', 'right'] = 'left'"
_MODIFIERS = "modifiers: list[typing.Literal['Alt', 'Control', 'ControlOrMeta', 'Meta', 'Shift']] = []"

PRIMITIVES = {
    primitive.name: primitive
    for primitive in (
        Primitive("noop(wait_ms: float = 1000)", "Wait, in milliseconds.", ("noop()", "noop(500)")),
        Primitive(
            "send_msg_to_user(text: str)",
            "Answer the user in the chat.",
            ("send_msg_to_user('Based on the results of my search, the city was built in 1751.')",),
        ),
        Primitive(
            "report_infeasible(reason: str)",
            "Tell the user why the task cannot be done.",
            ("report_infeasible('There is no search field on this page.')",),
        ),
        Primitive(
            "scroll(delta_x: float, delta_y: float)",
            "Scroll the page by this many pixels; positive is right and down.",
            ("scroll(0, 200)",),
        ),
        Primitive(
            "fill(bid: str, value: str, enable_autocomplete_menu: bool = False)",
            "Replace the content of an input, textarea or editable element.",
            ("fill('237', 'example value')", "fill('45', 'multi-line\\nexample')", "fill('b534', 'Montre', True)"),
        ),
        Primitive(
            "select_option(bid: str, options: str | list[str])",
            "Choose options of a select element, by label or value.",
            ("select_option('a48', 'blue')", "select_option('c48', ['red', 'green', 'blue'])"),
        ),
        Primitive(
            f"click(bid: str, {_BUTTON}, {_MODIFIERS})",
            "Click an element.",
            ("click('a51')", "click('48', button='middle', modifiers=['Shift'])"),
        ),
        Primitive(f"dblclick(bid: str, {_BUTTON}, {_MODIFIERS})", "Click an element twice.", ("dblclick('12')",)),
        Primitive("hover(bid: str)", "Move the mouse over an element.", ("hover('b8')",)),
        Primitive(
            "press(bid: str, key_comb: str)",
            "Focus an element and press a key or a combination, named as in KeyboardEvent.key.",
            ("press('88', 'Backspace')", "press('a26', 'ControlOrMeta+a')"),
        ),
        Primitive("focus(bid: str)", "Focus an element.", ("focus('b455')",)),
        Primitive("clear(bid: str)", "Empty an input.", ("clear('996')",)),
        Primitive(
            "drag_and_drop(from_bid: str, to_bid: str)",
            "Drag one element onto another.",
            ("drag_and_drop('56', '498')",),
        ),
        Primitive(
            "upload_file(bid: str, file: str | list[str])",
            "Choose files in the file dialog that clicking the element opens.",
            ("upload_file('572', 'my_receipt.pdf')",),
        ),
        Primitive("mouse_move(x: float, y: float)", "Move the mouse to x, y.", ("mouse_move(65.2, 158.5)",)),
        Primitive(f"mouse_click(x: float, y: float, {_BUTTON})", "Click at x, y.", ("mouse_click(887.2, 68)",)),
        Primitive(
            f"mouse_dblclick(x: float, y: float, {_BUTTON})", "Click twice at x, y.", ("mouse_dblclick(5, 236)",)
        ),
        Primitive(
            f"mouse_down(x: float, y: float, {_BUTTON})", "Press the button at x, y.", ("mouse_down(140.2, 580.1)",)
        ),
        Primitive(f"mouse_up(x: float, y: float, {_BUTTON})", "Release the button at x, y.", ("mouse_up(250, 120)",)),
        Primitive(
            "scroll_at(x: int, y: int, dx: int, dy: int)",
            "Scroll at x, y by this many pixels; positive is right and down.",
            ("scroll_at(50, 100, -50, -100)",),
        ),
        Primitive(
            "mouse_drag_and_drop(from_x: float, from_y: float, to_x: float, to_y: float)",
            "Drag from one place to another.",
            ("mouse_drag_and_drop(10.7, 325, 235.6, 24.54)",),
        ),
        Primitive(
            "mouse_upload_file(x: float, y: float, file: str | list[str])",
            "Choose files in the file dialog that clicking at x, y opens.",
            ("mouse_upload_file(132.1, 547, 'my_receipt.pdf')",),
        ),
        Primitive("keyboard_down(key: str)", "Press a key and hold it.", ("keyboard_down('Shift')",)),
        Primitive("keyboard_up(key: str)", "Release a key.", ("keyboard_up('Shift')",)),
        Primitive(
            "keyboard_insert_text(text: str)",
            "Insert text into the focused element without key events.",
            ("keyboard_insert_text('Hello')",),
        ),
        Primitive("keyboard_press(key: str)", "Press a key or a combination.", ("keyboard_press('Enter')",)),
        Primitive("keyboard_type(text: str)", "Type text into the focused element.", ("keyboard_type('Hello')",)),
        Primitive("tab_focus(index: int)", "Bring the tab with this index to the front.", ("tab_focus(2)",)),
        Primitive("new_tab()", "Open a tab and go to it.", ("new_tab()",)),
        Primitive("tab_close()", "Close the current tab.", ("tab_close()",)),
        Primitive("goto(url: str)", "Open an address.", ("goto('http://www.example.com')",)),
        Primitive("go_back()", "Go back one page.", ("go_back()",)),
        Primitive("go_forward()", "Go forward one page.", ("go_forward()",)),
    )
}

BID_PARAMETERS = frozenset({"bid", "from_bid", "to_bid"})
"""Parameters that name an element of the page."""

SUBSETS: dict[str, tuple[str, ...]] = {
    "chat": ("send_msg_to_user",),
    "infeas": ("report_infeasible",),
    "bid": (
        "scroll",
        "fill",
        "select_option",
        "click",
        "dblclick",
        "hover",
        "press",
        "focus",
        "clear",
        "drag_and_drop",
        "upload_file",
    ),
    "coord": (
        "scroll_at",
        "mouse_move",
        "mouse_up",
        "mouse_down",
        "mouse_click",
        "mouse_dblclick",
        "mouse_drag_and_drop",
        "mouse_upload_file",
        "keyboard_down",
        "keyboard_up",
        "keyboard_press",
        "keyboard_type",
        "keyboard_insert_text",
    ),
    "nav": ("goto", "go_back", "go_forward"),
    "tab": ("tab_focus", "new_tab", "tab_close"),
}
"""BrowserGym's subsets of actions."""

_MOUSE_AND_KEYS = (
    "mouse_move",
    "mouse_click",
    "mouse_dblclick",
    "mouse_down",
    "mouse_up",
    "scroll",
    "keyboard_press",
    "keyboard_type",
)

_WEBARENA = (
    "noop",
    "scroll",
    "keyboard_press",
    "click",
    "fill",
    "hover",
    *SUBSETS["tab"],
    *SUBSETS["nav"],
    "select_option",
    *SUBSETS["chat"],
    *SUBSETS["infeas"],
)

ACTION_SPACES: dict[str, tuple[str, ...]] = {
    "workarena": ("noop", *SUBSETS["chat"], *SUBSETS["bid"]),
    "workarena++": (
        "noop",
        *SUBSETS["chat"],
        *SUBSETS["infeas"],
        *SUBSETS["bid"],
        *SUBSETS["nav"],
        *SUBSETS["tab"],
    ),
    "miniwob": ("noop", "fill", "click", "select_option", "press"),
    "miniwob_all": ("noop", *_MOUSE_AND_KEYS, "click", "fill"),
    "webarena": _WEBARENA,
    "visualwebarena": (*_WEBARENA, "upload_file"),
    "assistantbench": (
        "noop",
        "scroll",
        "fill",
        "select_option",
        "click",
        "press",
        "goto",
        "go_back",
        "send_msg_to_user",
    ),
    "weblinx": ("noop", "scroll", "click", "fill", "hover", *SUBSETS["tab"], "goto", "send_msg_to_user"),
    "click_fill": ("click", "fill"),
    "all": ("noop", *(name for names in SUBSETS.values() for name in names)),
}
"""Named sets. ``workarena`` is the paper's (BrowserGym's chat + bid, 13 types); ``miniwob_all`` is BrowserGym's default
for MiniWoB, ``miniwob`` leaves the mouse out and select_option in; the others named after a benchmark are BrowserGym's for it; ``all`` is
every call that BrowserGym has."""


@cache
def parameters(name: str) -> tuple[str, ...]:
    """Names of a primitive's parameters, in order."""
    return tuple(argument.arg for argument in _signature(name).args)


@cache
def required_parameters(name: str) -> tuple[str, ...]:
    """Names of a primitive's parameters without a default, in order."""
    return parameters(name)[: -len(_signature(name).defaults) or None]


def _signature(name: str) -> ast.arguments:
    (function,) = ast.parse(f"def {PRIMITIVES[name].signature}: ...").body
    assert isinstance(function, ast.FunctionDef)
    return function.args


@cache
def signatures(names: tuple[str, ...]) -> str:
    """The action space at its shortest: one line a call with its required arguments, e.g. ``fill(bid, value)``."""
    return "\n".join(f"{name}({', '.join(required_parameters(name))})" for name in names)


def describe(names: tuple[str, ...], *, descriptions: bool = True, examples: bool = True) -> str:
    """The action space as the prompt shows it: a signature a line, with its description and examples."""
    lines = []
    for name in names:
        primitive = PRIMITIVES[name]
        lines.append(primitive.signature)
        if descriptions:
            lines.append(f"    Description: {primitive.description}")
        if examples:
            lines.append("    Examples:")
            lines += [f"        {example}" for example in primitive.examples]
    return "\n".join(lines)
