"""Patterns that split a text into segments whose tokens, one segment after the other, are the tokens of the text.

A page repeats most of its lines from step to step, and a new line repeats most of its words. Where a tokenizer provably
never joins two lines, or two words, each is tokenized only once. `pattern.findall(text)` gives the segments.

A text is split at line breaks, or before spaces, only if the tokenizer's pre-tokenizer must split there, or if no token of
its vocabulary spans the place. The second suffices for byte-pair encoding, because two symbols are only ever merged into a
token that holds them both.
"""

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

# No possessive repeats: Python 3.11.2 loops forever where the body of one fails halfway.
AFTER_BREAK = re.compile(r"[^\n]*(?:\n(?![\t ]*[!-.0-~])[^\n]*)*\n?")
"""A segment ends after a line break that is followed, tabs and spaces aside, by a visible ASCII character other than the
slash: some pre-tokenizers keep slashes after a line break in the piece before it."""

BEFORE_BREAK = re.compile(r"\n?[^\n]*(?:(?<![!-~])\n[^\n]*)*")
"""A segment ends before a line break that follows a visible ASCII character."""

WORDS = re.compile(r" ?[^ ]*(?:(?:(?<![!-~]) | (?![!-~]))[^ ]*)*")
"""A segment ends before a space between two visible ASCII characters."""

_ENDINGS = r"'s|'t|'re|'ve|'m|'ll|'d"
_ASCII_PIECES = {
    # Llama 3 and other tokenizers derived from cl100k
    rf"(?i:{_ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": re.compile(
        rf"(?i:{_ENDINGS})|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]{{1,3}}| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", re.ASCII
    ),
    # Qwen 2 to 3
    rf"(?i:{_ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+": re.compile(
        rf"(?i:{_ENDINGS})|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", re.ASCII
    ),
    # Mistral's tekken
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+": re.compile(
        r"[^\r\nA-Za-z0-9]?[A-Z]*[a-z]+|[^\r\nA-Za-z0-9]?[A-Z]+[a-z]*|[0-9]| ?[^\sA-Za-z0-9]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        re.ASCII,
    ),
}  # fmt: skip
"""Pre-tokenizers whose pieces hold line breaks at their end only, and all that follow there: a piece always ends after the
last line break of a run of white space. A space between other characters is always the first of its piece. None of them
looks back, so that the rest of a text is split as if it were alone. The value splits ASCII text into the same pieces."""


def piece_pattern(tokenizer: "Tokenizer") -> re.Pattern[str] | None:
    """The pattern that splits an ASCII text without added tokens into the pieces of the tokenizer's pre-tokenizer, which are
    encoded one by one; None where it is not known."""
    normalizer = _description(tokenizer.normalizer)
    steps = _steps(_description(tokenizer.pre_tokenizer))
    if (
        type(tokenizer.model).__name__ != "BPE"
        or tokenizer.model.dropout
        or (normalizer and normalizer["type"] != "NFC")
    ):
        return None
    match steps:
        case [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
        ]:
            return _ASCII_PIECES.get(regex)
    return None


def segment_patterns(tokenizer: "Tokenizer") -> tuple[re.Pattern[str], ...]:
    """The patterns for a tokenizer: the first splits into lines, the second lines into words; none where nothing is proven."""
    if type(tokenizer.model).__name__ != "BPE" or tokenizer.model.dropout:
        return ()
    patterns = _of_pieces(tokenizer) or _of_vocabulary(tokenizer)
    added = tokenizer.get_added_tokens_decoder().values()
    return () if any(_spans_segments(pattern, token) for pattern in patterns for token in added) else patterns


def _of_pieces(tokenizer: "Tokenizer") -> tuple[re.Pattern[str], ...]:
    """By the pre-tokenizer: pieces are encoded one by one."""
    normalizer = _description(tokenizer.normalizer)
    if normalizer and normalizer["type"] != "NFC":  # which composes nothing across a line break or a word's first space
        return ()
    first: re.Pattern[str] | None = None
    for step in _steps(_description(tokenizer.pre_tokenizer)):
        match step:
            case {"type": "Digits"} | {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}:
                continue
            case {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}:
                found = AFTER_BREAK if regex in _ASCII_PIECES else None
            case {"type": "ByteLevel", "add_prefix_space": False}:
                found = BEFORE_BREAK  # GPT-2's pattern: white space is a piece of its own or the first letter of one
            case _:
                return ()
        if first is not None or found is None:
            return ()
        first = found
    return (first, WORDS) if first else ()


def _of_vocabulary(tokenizer: "Tokenizer") -> tuple[re.Pattern[str], ...]:
    """By the tokens: none holds a line break before another character, none a space after a visible character. For texts that
    are encoded in one piece, as SentencePiece does."""
    model = tokenizer.model
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    one_piece = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    if (
        _description(tokenizer.normalizer) not in (None, spaces)
        or _description(tokenizer.pre_tokenizer) not in (None, one_piece)
        or model.ignore_merges
        or model.continuing_subword_prefix
        or model.end_of_word_suffix
        or not model.byte_fallback
    ):
        return ()
    vocabulary, lines = tokenizer.get_vocab(with_added_tokens=False), re.compile(r"\n[^\n]")
    if "\n" not in vocabulary or any("\n" in token and lines.search(token) for token in vocabulary):
        return ()
    words = re.compile(r"[!-~][▁ ]")
    proven = "▁" in vocabulary and not any(words.search(token) for token in vocabulary)
    return (AFTER_BREAK, WORDS) if proven else (AFTER_BREAK,)


def _description(part: Any) -> dict[str, Any] | None:
    """A part of a tokenizer as its ``tokenizer.json`` describes it."""
    return None if part is None else json.loads(part.__getstate__())


def _steps(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if pre_tokenizer is None:
        return []
    return pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]


def _spans_segments(pattern: re.Pattern[str], token: "AddedToken") -> bool:
    """Whether an added token, which is split off before anything else, can lie in two segments."""
    place = {AFTER_BREAK: r"\n[\t -~]", BEFORE_BREAK: r"[!-~]\n", WORDS: r"[!-~] [!-~]"}[pattern]
    return token.lstrip or token.rstrip or token.single_word or bool(re.search(place, token.content))
