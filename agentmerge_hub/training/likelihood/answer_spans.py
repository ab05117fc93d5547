"""Which part of an answer each character belongs to: thought, action name, bid, other arguments, format."""

import ast
import re

from agentmerge_hub.actions import parse_calls

SPANS = ("think", "action_name", "bid", "arguments", "format")
_BID_NAMES = ("bid", "from_bid", "to_bid")

Span = tuple[int, int, str]
"""Begin and end in characters, and the name of the span."""


def spans(answer: str) -> list[Span]:
    """The spans of an answer; characters outside all of them are format.

    An action that cannot be parsed is one span of arguments.
    """
    found = [
        (match.start(1), match.end(1), "think") for match in re.finditer(r"<think>(.*?)</think>", answer, re.DOTALL)
    ]
    for match in re.finditer(r"<action>\n?(.*?)\n?</action>", answer, re.DOTALL):
        found += [
            (match.start(1) + begin, match.start(1) + end, name) for begin, end, name in _action_spans(match.group(1))
        ]
    return found


def _action_spans(code: str) -> list[Span]:
    try:
        calls = parse_calls(code)
        statements = ast.parse(code).body
    except (ValueError, SyntaxError):
        return [(0, len(code), "arguments")]
    found: list[Span] = []
    for call, statement in zip(calls, statements):
        node = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(node, ast.Call):
            return [(0, len(code), "arguments")]
        found.append((*_position(code, node.func), "action_name"))
        for name, value in zip(call.arguments, [*node.args, *(keyword.value for keyword in node.keywords)]):
            found.append((*_position(code, value), "bid" if name in _BID_NAMES else "arguments"))
    return found


_LINE = re.compile(r".*?(?:\r\n|\n|\r|$)", re.DOTALL)
"""A line as Python counts them; str.splitlines ends them at other characters too, which a string may hold, such as U+2028."""


def _position(code: str, node: ast.expr) -> tuple[int, int]:
    """Begin and end of a node in characters; ast counts lines and UTF-8 bytes."""
    lines = _LINE.findall(code)

    def index(line: int, byte: int) -> int:
        return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:byte].decode())

    end_line, end_byte = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return index(node.lineno, node.col_offset), index(end_line, end_byte)


def span_at(spans: list[Span], begin: int, end: int) -> str:
    """The span of a token from `begin` to `end`: the first one that it overlaps, else format."""
    for first, last, name in spans:
        if begin < last and end > first:
            return name
    return "format"
