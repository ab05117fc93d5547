"""Which part of an answer each character belongs to: think, the action's name, its bid, its other arguments, format."""

import ast
import re

from agentmerge_hub.actions import parse_calls

SPANS = ("think", "action_name", "bid", "arguments", "format")
_BID_NAMES = ("bid", "from_bid", "to_bid")


def spans(answer: str) -> list[tuple[int, int, str]]:
    """Stretches of an answer as (begin, end, span), in characters; what none of them covers is format.

    An action that cannot be parsed is one stretch of arguments.
    """
    found = [
        (match.start(1), match.end(1), "think") for match in re.finditer(r"<think>(.*?)</think>", answer, re.DOTALL)
    ]
    for match in re.finditer(r"<action>\n?(.*?)\n?</action>", answer, re.DOTALL):
        found += [(match.start(1) + begin, match.start(1) + end, span) for begin, end, span in _action(match.group(1))]
    return found


def _action(code: str) -> list[tuple[int, int, str]]:
    try:
        calls = parse_calls(code)
        statements = ast.parse(code).body
    except (ValueError, SyntaxError):
        return [(0, len(code), "arguments")]
    found = []
    for call, statement in zip(calls, statements):
        node = statement.value
        found.append((*_place(code, node.func), "action_name"))
        for name, value in zip(call.arguments, [*node.args, *(keyword.value for keyword in node.keywords)]):
            found.append((*_place(code, value), "bid" if name in _BID_NAMES else "arguments"))
    return found


def _place(code: str, node: ast.AST) -> tuple[int, int]:
    """Begin and end of a node in characters; ast counts lines and UTF-8 bytes."""
    lines = code.splitlines(keepends=True)

    def index(line: int, byte: int) -> int:
        return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:byte].decode())

    return index(node.lineno, node.col_offset), index(node.end_lineno, node.end_col_offset)


def span_at(stretches: list[tuple[int, int, str]], begin: int, end: int) -> str:
    """The span a token belongs to: that of its first character inside a stretch, else format."""
    for first, last, span in stretches:
        if begin < last and end > first:
            return span
    return "format"
