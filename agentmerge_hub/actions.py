"""The calls an agent may write: their description in the prompt, and reading them back out of an answer.

Signatures follow BrowserGym's high-level action set (a test compares them); descriptions are ours. What an action does
to a page is BrowserGym's business.
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

_BID = (
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
)
_COORD = (
    "mouse_move",
    "mouse_click",
    "mouse_dblclick",
    "mouse_down",
    "mouse_up",
    "scroll",
    "keyboard_press",
    "keyboard_type",
)
_NAV = ("goto", "go_back", "go_forward")
_TAB = ("tab_focus", "new_tab", "tab_close")

ACTION_SPACES: dict[str, tuple[str, ...]] = {
    "workarena": ("noop", "send_msg_to_user", *_BID),
    "workarena++": ("noop", "send_msg_to_user", "report_infeasible", *_BID, *_NAV, *_TAB),
    "miniwob": ("noop", "fill", "click", "select_option", "press"),
    "miniwob_all": ("noop", *_COORD, "click", "fill"),
    "click_fill": ("click", "fill"),
}
"""Named sets. ``workarena`` is the paper's (BrowserGym's chat + bid, 13 types); ``miniwob_all`` is BrowserGym's default
for MiniWoB, ``miniwob`` leaves the mouse out and select_option in."""


@dataclass(frozen=True)
class Call:
    """One parsed function call: positional arguments are bound to the primitive's parameter names."""

    name: str
    arguments: dict[str, object]

    @property
    def bids(self) -> tuple[str, ...]:
        """Element ids among the arguments, in order."""
        return tuple(str(value) for key, value in self.arguments.items() if key in ("bid", "from_bid", "to_bid"))


@cache
def _parameters(name: str) -> tuple[str, ...]:
    return tuple(argument.arg for argument in _signature(name).args)


def _signature(name: str) -> ast.arguments:
    return ast.parse(f"def {PRIMITIVES[name].signature}: ...").body[0].args


def parse_calls(action: str, names: tuple[str, ...] | None = None) -> tuple[Call, ...]:
    """Read the calls of an action.

    Args:
        action: one or several calls, one a line, with literal arguments, e.g. ``click('a51')``.
        names: the calls that are allowed; every known primitive if None.

    Raises:
        ValueError: with a sentence fit to be shown to the model, if something else stands there.
    """
    allowed = tuple(PRIMITIVES) if names is None else names
    try:
        statements = ast.parse(action.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{action.strip()[:200]!r} is not a function call") from None
    calls = []
    for statement in statements:
        node = getattr(statement, "value", None)
        if not isinstance(statement, ast.Expr) or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise ValueError(f"{ast.unparse(statement)[:200]!r} is not a function call")
        name = node.func.id
        if name not in allowed:
            raise ValueError(f"{name!r} is not an action: use one of {', '.join(allowed)}")
        parameters = _parameters(name)
        if len(node.args) > len(parameters):
            raise ValueError(f"{name} takes at most {len(parameters)} arguments")
        try:
            arguments = dict(zip(parameters, map(ast.literal_eval, node.args)))
            arguments |= {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
        except (ValueError, TypeError, SyntaxError):
            raise ValueError(f"the arguments of {name} must be plain strings, numbers or lists") from None
        if unknown := [key for key in arguments if key not in parameters]:
            raise ValueError(f"{name} has no argument {unknown[0]!r}")
        calls.append(Call(name, arguments))
    if not calls:
        raise ValueError("there is no action")
    return tuple(calls)


@cache
def signatures(names: tuple[str, ...]) -> str:
    """The action space at its shortest: each name with its required arguments, e.g. ``fill(bid, value)``, a line."""
    lines = []
    for name in names:
        required = _parameters(name)[: -len(_signature(name).defaults) or None]
        lines.append(f"{name}({', '.join(required)})")
    return "\n".join(lines)


def describe(names: tuple[str, ...], *, descriptions: bool = True, examples: bool = True) -> str:
    """The action space as the prompt shows it: a signature a line, with its description and examples if wanted."""
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
