"""Whether tokenizers with the same vocabulary split text alike: a model knows the splits it was trained on, and no others.

Compared is what transformers loads of two folders, not their files: its versions write one tokenizer in several ways. Merges and
scores decide by themselves. Rules that are written otherwise are applied to texts: every token of the vocabulary, every sequence
of three kinds of characters, most characters, and the texts that the rules name.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from agentmerge_hub.errors import is_failure
from agentmerge_hub.merging.inputs.checkpoint import TOKENIZER_CONFIG, read_json

_RULES = ("normalizer", "pre_tokenizer", "added_tokens", "model")
"""The parts of tokenizer.json that decide how text is split."""

_DECIMALS = 5
"""Of a score: versions write float32 values with more digits or fewer."""

_LONGEST_RULE_TEXT = 40
"""Characters of a text that a rule names; longer ones are tables."""

_TEXTS = (
    "Click the 'Submit' button, then wait: it won't be visible until 10:45 on 2024-03-31!",
    "RootWebArea 'ServiceNow', focused\n\t[a324] gridcell 'INC0010023', clickable, visible\n\n    [45] link 'Über uns…'",
    '<action>\nclick("a324")\nfill(\'237\', "Ärger  &  naïve café")\n</action>\n<think>\nI should NOT stop.\n</think>',
    " def f(x_1, y2):\r\n    return {**x_1, 'k': [y2 >= 1e-5, -3.14159, 0xFF]}  # done;\n",
    "https://example.com/path?query=1&lang=de#top a@b.org C:\\Users\\me $1,234.56 ~99%",
    "Привет мир, 你好，世界。 こんにちは、안녕하세요 مرحبا שלום नमस्ते 🙂👩‍💻 ½ ﬁ é",
    "  two spaces, three   spaces and a tab\tat the end \t ",
)
_KINDS = "sS1.' \t\n\r/_é中\u0301²🙂"
"""A character of each kind that patterns tell apart."""
_CHARACTERS = [chr(code) for code in (*range(0x20, 0x3100), *range(0xF900, 0x10000))]
"""Most scripts but no tables of Chinese or Korean, and the forms that normalizers replace."""


def different_split(donor: Path, first: Tokenizer, folder: Path, second: Tokenizer) -> str | None:
    """How two tokenizers with the same ids differ in what they make of a text, in words; None if they do not.

    Args:
        donor, folder: of `first` and `second`, which are what their files hold; transformers' classes can read these otherwise.
    """
    loaded = [one for one in map(_as_transformers_loads, (donor, folder)) if one is not None]
    pair = loaded if len(loaded) == 2 else [first, second]
    rules = [json.loads(tokenizer.to_str()) for tokenizer in pair]
    if _deciding(rules[0]) == _deciding(rules[1]) and len({one.encode_special_tokens for one in pair}) == 1:
        return None
    if differing := _different_table(rules[0]["model"], rules[1]["model"]):
        return differing
    for tokenizer in pair:
        tokenizer.no_truncation()
        tokenizer.no_padding()
    for text in _texts(pair[0], rules):
        if _split(pair[0], text) != _split(pair[1], text):
            return f"splits text into other tokens, e.g. {text[:60]!r}"
    return None


def has_same_files(donor: Path, folder: Path) -> bool:
    """Whether two folders' tokenizers are the same files, apart from chat templates."""
    if (donor / "tokenizer.json").read_bytes() != (folder / "tokenizer.json").read_bytes():
        return False
    settings = [read_json(path) if (path := one / TOKENIZER_CONFIG).is_file() else {} for one in (donor, folder)]
    for one in settings:
        one.pop("chat_template", None)
    return settings[0] == settings[1]


def _deciding(rules: Mapping[str, Any]) -> dict[str, Any]:
    return {key: rules[key] for key in _RULES}


def _different_table(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """The first merge or score of one model that the other has otherwise, in words; None if there is none."""
    tables = [_merges(model) if "merges" in model else _scores(model) for model in (first, second)]
    for one, other in itertools.zip_longest(*tables):
        if one != other:
            return f"has other {'merges' if 'merges' in first else 'scores'}, e.g. of {(one or other)[0]!r}"
    return None


def _merges(model: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Token → the pairs that are merged into it, in the order of merging; versions write the pairs of one token in several
    orders."""
    found: dict[str, set[str]] = {}
    for left, right in model["merges"]:
        found.setdefault(left + right, set()).add(left)
    return list(found.items())


def _scores(model: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Token and score of a unigram model; none of others."""
    vocabulary = model["vocab"]
    return [(token, round(score, _DECIMALS)) for token, score in vocabulary] if isinstance(vocabulary, list) else []


def _texts(tokenizer: Tokenizer, rules: list[dict[str, Any]]) -> Iterator[str]:
    yield from _TEXTS
    for text in dict.fromkeys(text for one in rules for key in _RULES[:2] for text in _rule_texts(one[key])):
        yield f"a{text}b {text} {text}{text}\n{text}"
    for token in rules[0]["added_tokens"]:
        yield "a {0} b\n{0}\n{0}c{0}".format(token["content"])
    yield from map("".join, itertools.product(_KINDS, repeat=3))
    for begin in range(0, len(_CHARACTERS), 1024):
        yield "".join(_CHARACTERS[begin : begin + 1024])
    for id in tokenizer.get_vocab(with_added_tokens=True).values():
        yield tokenizer.decode([id], skip_special_tokens=False)


def _rule_texts(rule: Any) -> Iterator[str]:
    """The short texts in a normalizer or pre-tokenizer: what it replaces, or splits at."""
    if isinstance(rule, str) and len(rule) <= _LONGEST_RULE_TEXT:
        yield rule
    elif isinstance(rule, list | dict):
        for inner in rule.values() if isinstance(rule, dict) else rule:
            yield from _rule_texts(inner)


def _split(tokenizer: Tokenizer, text: str) -> list[int] | None:
    """Token ids of a text; None where the tokenizer fails, e.g. at a pattern that takes too long."""
    try:
        return tokenizer.encode(text, add_special_tokens=False).ids
    except BaseException as error:
        if not is_failure(error):
            raise
        return None


def _as_transformers_loads(folder: Path) -> Tokenizer | None:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False).backend_tokenizer
    except Exception:  # the class of a foreign configuration raises what it likes
        return None
