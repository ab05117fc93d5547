"""When two goals are the same: the key that keeps a goal out of a second split.

What says the same to a reader is folded: letter case, spacing, invisible characters, the shape of quotation marks and dashes,
compatible characters such as full-width ones, and punctuation behind a word. Every other symbol stays, with brackets and quotation
marks, and so does punctuation within quotation marks, which is a text to type.
"""

import re
import unicodedata


def goal_key(goal: str) -> str:
    """The key of a goal; empty only for an empty goal."""
    text = _folded(goal)
    text = _QUOTED_OR_PUNCTUATION.sub(
        lambda found: f'"{found[1] or found[2] or ""}"' if found[0][0] in _QUOTES else " ", text
    )
    return " ".join(_WORD_OR_SYMBOL.findall(text)) or (goal and " ")


def _folded(goal: str) -> str:
    """The text with one character for all that look or read the same, and single spaces."""
    text = "".join(map(_marked, _visible(goal).translate(_SAME)))
    return " ".join(_visible(unicodedata.normalize("NFKC", text)).casefold().translate(_SAME).split())


def _marked(character: str) -> str:
    """A character of which NFKC would lose the meaning, written out: x² is not x2, and 1½ not 11/2."""
    if character.isascii():
        return character
    kind = unicodedata.decomposition(character).partition(" ")[0]
    if kind == "<super>":
        return f"^{character}"
    return f" {character}" if kind == "<fraction>" else character


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in _BLANK.sub("", text) if c in _SPACES or unicodedata.category(c) not in ("Cf", "Cc"))


_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U0001d159\U000e0000-\U000e0fff]"
)
"""Characters without a shape of their own that are neither spaces nor of the categories Cf and Cc."""

_SPACES = "\t\n\v\f\r\x85"

_QUOTES = "\"'"
_SAME = str.maketrans(
    dict.fromkeys("‐‑‒–—―−﹘⁃", "-")
    | dict.fromkeys("“”„‟«»″‶〝〞〟「」『』", '"')
    | dict.fromkeys("‘’‚‛‹›′‵´`ʼʹʻ", "'")
    | {"…": "...", "⁄": "/", "∕": "/"}
)

_QUOTED_OR_PUNCTUATION = re.compile(
    r"\"([^\"]*)\"|(?<!\w)'([^']*)'(?!\w)"
    r"|(?<=[^\s.,:;!?])[.,:;!?]++(?=\s|$)"  # behind a word
    r"|(?<=\w)[,;:](?=[^\W\d])|(?<=[^\W\d])[,;:](?=\w)|(?<=\d);(?=\d)"  # between words
    r"|(?<=\d),(?=\d)(?!\d{3}(?!\d))"  # between numbers; 1,234 is one
)
_WORD_OR_SYMBOL = re.compile(r"\w+|[^\w\s]")
