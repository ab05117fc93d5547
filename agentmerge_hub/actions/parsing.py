"""Read the calls of an action exactly as BrowserGym's environment does before it carries them out.

BrowserGym searches the text for calls and skips everything between them: prose, fences, backticks, comments. An argument is
a string, number, list, tuple, dict, True, False or None; strings with prefixes, adjacent strings and expressions are no
arguments. Source: browsergym.core.action.parsers and HighLevelActionSet.to_python_code with ``strict=False``; a test
compares both parsers. This one takes linear time, recurses at most `MAX_DEPTH` deep, reads at most `MAX_CALLS` calls, and
raises nothing but ActionError.
"""

import ast
import re
import warnings
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from agentmerge_hub.actions.primitives import BID_PARAMETERS, PRIMITIVES, parameters, required_parameters

MAX_DEPTH = 30
"""Deepest nesting of lists, tuples and dicts in an argument. No call takes more than one level."""


MAX_CALLS = 1000
"""Most calls of an action. Agents give up to ten."""


class ActionError(ValueError):
    """An action that BrowserGym would not carry out. The message is a sentence without its full stop, fit for the model."""


@dataclass(frozen=True)
class Call:
    """One parsed function call: positional arguments are bound to the primitive's parameter names."""

    name: str
    arguments: dict[str, object]
    text: str = field(default="", compare=False)
    """The call as written, on one line."""

    @property
    def bids(self) -> tuple[str, ...]:
        """Element ids among the arguments, in order."""
        return tuple(str(value) for key, value in self.arguments.items() if key in BID_PARAMETERS)


def parse_calls(action: str, names: tuple[str, ...] | None = None) -> tuple[Call, ...]:
    """Read the calls of an action.

    Args:
        action: one or several calls, e.g. ``click('a51')``, with any text around them.
        names: the calls that are allowed; every known primitive if None.

    Raises:
        ActionError: if BrowserGym would find no call, or one that is unknown, not allowed or cannot be called so.
    """
    allowed = tuple(PRIMITIVES) if names is None else names
    try:
        action.encode()
    except UnicodeEncodeError:
        raise ActionError("the action holds half of a surrogate pair, which is no character") from None
    text = action.expandtabs()
    found = list(islice(_Scanner(text).calls(), MAX_CALLS + 1))
    if len(found) > MAX_CALLS:
        raise ActionError(f"there are more than {MAX_CALLS} calls")
    if not found:
        shown = action.strip()[:200]
        raise ActionError(f"{shown!r} is not a function call" if shown else "there is no action")
    return tuple(
        _bound(name, positional, named, text[start:end], allowed) for name, positional, named, start, end in found
    )


def text_around_calls(text: str) -> str | None:
    """A text without its calls; None where it has none that could be read, or more than `MAX_CALLS`."""
    text = text.expandtabs()
    try:
        found = list(islice(_Scanner(text).calls(), MAX_CALLS + 1))
    except ActionError:
        return None
    if not 0 < len(found) <= MAX_CALLS:
        return None
    ends = [0, *(end for *_, end in found)]
    return "\n".join(text[end:start] for end, start in zip(ends, [*(start for *_, start, _ in found), len(text)]))


def written(calls: tuple[Call, ...]) -> str:
    """Calls as an action holds them, one a line, without the text around them."""
    return "\n".join(call.text for call in calls)


def _bound(name: str, positional: list[Any], named: list[tuple[str, Any]], text: str, allowed: tuple[str, ...]) -> Call:
    """The call with its arguments by name, as Python binds them."""
    if name not in allowed or name not in PRIMITIVES:
        raise ActionError(f"{name[:80]!r} is not an action: use one of {', '.join(allowed)}")
    known = parameters(name)
    if len(positional) > len(known):
        raise ActionError(f"{name} takes at most {len(known)} arguments")
    arguments = dict(zip(known, positional))
    for key, value in named:
        if key not in known:
            raise ActionError(f"{name} has no argument {key[:80]!r}")
        if key in arguments:
            raise ActionError(f"{name} has two values for its argument {key!r}")
        arguments[key] = value
    for key in required_parameters(name):
        if key not in arguments:
            raise ActionError(f"{name} needs the argument {key!r}")
    for key in BID_PARAMETERS.intersection(arguments):
        if not isinstance(arguments[key], str):
            raise ActionError(f"the {key} of {name} must be a string, e.g. 'a51'")
    if "\n" in text or "\r" in text:
        values = [repr(value) for value in positional] + [f"{key}={value!r}" for key, value in named]
        text = f"{name}({', '.join(values)})"
    return Call(name, arguments, text)


class _NoMatch(Exception):
    """The text at this place is not what the grammar needs; the search goes on behind it."""


_LETTERS = "A-Z_a-zªµºÀ-ÖØ-öø-ÿ"  # pyparsing's identifiers: Latin-1 only
_IDENTIFIER = re.compile(f"[{_LETTERS}][0-9·{_LETTERS}]*")
_WORD = re.compile(rf"[{_LETTERS}][0-9·{_LETTERS}]*([ \n\t\r]*[(#])?|#")
"""A word, with the bracket or the comment behind it if it may be the name of a call; or a comment."""
_BLANK = re.compile(r"(?:[ \n\t\r]+|#[^\n]*)*")
_NUMBER = re.compile(r"([+-]?(?:\d++[eE][+-]?\d++|(?:\d++\.\d*+|\.\d++)(?:[eE][+-]?\d++)?))|[+-]?\d++")
_KEYWORD = re.compile(r"(True|False|None)(?![0-9A-Za-z_$])")
# pyparsing matches a string up to its closing mark without going back, and so do the possessive quantifiers here.
_STRINGS = tuple(
    re.compile(pattern)
    for pattern in (
        r'"""(?:[^"\\]|""(?!")|"(?!"")|\\.)*+"""',
        r"'''(?:[^'\\]|''(?!')|'(?!'')|\\.)*+'''",
        r'"(?:[^"\n\r\\]|\\"|\\(?:[^x]|x[0-9a-fA-F]+))*+"',
        r"'(?:[^'\n\r\\]|\\'|\\(?:[^x]|x[0-9a-fA-F]+))*+'",
    )
)
_PLAIN_STRING = re.compile(r"""(?:"[^"\\\n\r\x00]*"|'[^'\\\n\r\x00]*')""")
_CONSTANTS = {"True": True, "False": False, "None": None}


class _Scanner:
    """A recursive-descent parser of BrowserGym's grammar over one text. Methods named after a rule return its value and
    move `at` behind it, or raise _NoMatch."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def calls(self) -> Any:
        """Every call of the text: name, positional values, named values, and where its text begins and ends."""
        place = 0
        while True:
            for word in _WORD.finditer(self.text, place):
                if word[0] != "#" and word[1] is None:
                    continue  # prose
                if word[1]:
                    self.at = word.start(1)
                    try:
                        positional, named = self.arguments()
                    except _NoMatch:
                        pass  # a later letter of the name would meet the same text behind it
                    else:
                        yield self.text[word.start() : word.start(1)], positional, named, word.start(), self.at
                        place = self.at
                        break
                if word[0].endswith("#"):
                    place = self.text.find("\n", word.end())
                    break
            else:
                return
            if place < 0:
                return

    def arguments(self) -> tuple[list[Any], list[tuple[str, Any]]]:
        self.expect("(")
        positional: list[Any] = []
        named: list[tuple[str, Any]] = []
        trailing = True
        while trailing and (value := self.optional(self.element)) is not _NOTHING:
            positional.append(value)
            trailing = self.skip(",")
        trailing = True
        while trailing and (pair := self.optional(self.named)) is not _NOTHING:
            named.append(pair)
            trailing = self.skip(",")
        self.expect(")")
        return positional, named

    def named(self, depth: int) -> tuple[str, Any]:
        self.blank()
        name = _IDENTIFIER.match(self.text, self.at)
        if not name:
            raise _NoMatch
        self.at = name.end()
        self.expect("=")
        return name[0], self.element(depth)

    def element(self, depth: int) -> Any:
        first = self.peek()
        if first in "\"'" and first:
            return self.string()
        if first in "[({" and first:
            if depth == MAX_DEPTH:
                raise ActionError(f"an argument is nested more than {MAX_DEPTH} deep")
            self.at += 1
            return self.mapping(depth + 1) if first == "{" else self.sequence(first, depth + 1)
        if number := _NUMBER.match(self.text, self.at):
            self.at = number.end()
            return _number(number)
        if keyword := _KEYWORD.match(self.text, self.at):
            self.at = keyword.end()
            return _CONSTANTS[keyword[1]]
        raise _NoMatch

    def sequence(self, bracket: str, depth: int) -> list[Any] | tuple[Any, ...]:
        values: list[Any] = []
        closing = "]" if bracket == "[" else ")"
        trailing = True
        while trailing and self.peek() != closing:
            values.append(self.element(depth))
            trailing = self.skip(",")
        self.expect(closing)
        return values if bracket == "[" else tuple(values)

    def mapping(self, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        trailing = True
        while trailing and self.peek() != "}":
            key = self.string()
            self.expect(":")
            items[key] = self.element(depth)
            trailing = self.skip(",")
        self.expect("}")
        return items

    def string(self) -> str:
        self.blank()
        matches = [match for pattern in _STRINGS if (match := pattern.match(self.text, self.at))]
        if not matches:
            raise _NoMatch
        longest = max(matches, key=lambda match: match.end())
        self.at = longest.end()
        return _string(longest[0])

    def optional(self, rule: Any) -> Any:
        """The value of a rule, or _NOTHING with the place unchanged."""
        before = self.at
        try:
            return rule(0)
        except _NoMatch:
            self.at = before
            return _NOTHING

    def blank(self) -> None:
        """Skip white space and comments."""
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def peek(self) -> str:
        self.blank()
        return self.text[self.at : self.at + 1]

    def skip(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def expect(self, character: str) -> None:
        if not self.skip(character):
            raise _NoMatch


_NOTHING = object()


def _number(match: re.Match[str]) -> int | float:
    try:
        return float(match[0]) if match[1] else int(match[0])
    except ValueError:
        raise ActionError("a number has too many digits") from None


def _string(literal: str) -> str:
    """The value of a string literal, as the browser types it: surrogate pairs are joined, and a half becomes a replacement
    character. A literal that Python refuses makes BrowserGym refuse the whole action."""
    if _PLAIN_STRING.fullmatch(literal):
        return literal[1:-1]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unknown escapes such as '\d', which stay as they are
            value: str = ast.literal_eval(literal)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ActionError(f"{literal[:80]} is not a valid string") from None
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
