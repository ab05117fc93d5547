"""Cards, licenses, notices, chat templates and vocabularies → their text. Program text under such a name is refused."""

import ast
import re
from collections.abc import Iterator

from agentmerge_hub.errors import UserError
from agentmerge_hub.publishing.publish_checks.text_extraction import Content, Text, check_no_python, document_texts

_LICENSE_WORDS = re.compile(
    r"licen[cs]e|agreement|terms|conditions|copyright|permission|warrant|liab|distribut|rights|grant|public domain",
    re.I,
)
_MIN_LICENSE_WORDS = 3
"""Different words of these in a license's text: the shortest licenses in use have more."""
_ATTRIBUTION = re.compile(r"licensed|license|copyright|terms of use|modified from|©", re.I)
_PROGRAM_LINE = re.compile(
    r"^(?:#!.*|[ \t]*(?:import [\w.]+(?:[ \t]+as[ \t]+\w+)?(?:[ \t]*,[ \t]*[\w.]+)*|from [\w.]+ import [\w*(][^.]*|(?:async[ \t]+)?def \w+[ \t]*\(.*"
    r"|class \w+[ \t]*(?:\(.*\))?:|(?:exec|eval|__import__|compile|os\.system|subprocess\.\w+)[ \t]*\(.*|#include[ \t]*[<\"].*|<\?php.*|<script.*|%PDF-.*"
    r"|(?:var|let|const) \w+[ \t]*=.*|(?:export )?(?:async )?function \w*[ \t]*\(.*|package \w+;?|(?:public|private|static) .*[({;]))[ \t]*;?[ \t]*(?:(?:#|//).*)?$",
    re.MULTILINE,
)
_STATEMENTS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Call, ast.Assign, ast.Lambda)  # fmt: skip
_MAX_PROGRAM = 2**20
"""Characters of a text that is parsed as a program."""
_TEMPLATE = re.compile(r"\{[%{](?:(?![%}]\}).){0,2000}\bmessages\b", re.DOTALL)


def card_texts(name: str, content: Content) -> Iterator[Text]:
    """The text of a card, which may show program text but be none."""
    for text in document_texts(name, content):
        _refuse_program(name, text.text)
        yield text


def license_texts(name: str, content: Content) -> Iterator[Text]:
    """The text of a license.

    Raises:
        UserError: if it has none of the words that licenses consist of, or lines of a program.
    """
    for text in document_texts(name, content):
        words = {found.lower() for found in _LICENSE_WORDS.findall(text.text)}
        if len(words) < _MIN_LICENSE_WORDS or _PROGRAM_LINE.search(text.text):
            raise UserError(f"{name} is not the text of a license, which its name promises: remove it")
        _refuse_program(name, text.text)
        yield text


def notice_texts(name: str, content: Content) -> Iterator[Text]:
    """The attributions that licenses require.

    Raises:
        UserError: if it is anything else.
    """
    for text in document_texts(name, content):
        if not _ATTRIBUTION.search(text.text) or _PROGRAM_LINE.search(text.text):
            raise UserError(f"{name} is not a notice of licenses, which its name promises: remove it")
        _refuse_program(name, text.text)
        yield text


def template_texts(name: str, content: Content) -> Iterator[Text]:
    """The text of a chat template.

    Raises:
        UserError: if it renders no messages, or reads attributes of Python objects.
    """
    for text in document_texts(name, content):
        if not _TEMPLATE.search(text.text):
            raise UserError(f"{name} is not a chat template, which its name promises: remove it")
        check_no_python(name, text.text)
        yield text


def _refuse_program(name: str, text: str) -> None:
    if text.startswith("#!"):
        raise UserError(f"{name} is a program, not the text that its name promises: remove it")
    try:
        nodes = ast.walk(ast.parse(text)) if len(text) <= _MAX_PROGRAM else ()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    if any(isinstance(node, _STATEMENTS) for node in nodes):
        raise UserError(f"{name} is a program, not the text that its name promises: remove it")
