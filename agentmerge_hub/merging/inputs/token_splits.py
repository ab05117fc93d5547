"""Whether tokenizers with the same vocabulary split text alike: a model knows the splits it was trained on, and no others.

Files are no measure: versions of transformers write the same tokenizer in several ways. So texts are split, among them the
texts of tokens throughout the vocabulary.
"""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from agentmerge_hub.errors import is_failure
from agentmerge_hub.merging.inputs.checkpoint import TOKENIZER_CONFIG, read_json

_SAMPLED = 4096
"""Tokens of the vocabulary whose texts are split."""
_ADDED = 256
"""Added tokens that are split among blanks, line breaks and letters, which some take with them (lstrip, rstrip)."""
_FLAGS = ("content", "lstrip", "normalized", "rstrip", "single_word")

_TEXTS = (
    "Click the 'Submit' button, then wait: it won't be visible until 10:45 on 2024-03-31!",
    "RootWebArea 'ServiceNow', focused\n\t[a324] gridcell 'INC0010023', clickable, visible\n\n    [45] link 'Über uns…'",
    '<action>\nclick("a324")\nfill(\'237\', "Ärger  &  naïve café")\n</action>\n<think>\nI should NOT stop.\n</think>',
    " def f(x_1, y2):\r\n    return {**x_1, 'k': [y2 >= 1e-5, -3.14159, 0xFF]}  # done;\n",
    "https://example.com/path?query=1&lang=de#top a@b.org C:\\Users\\me $1,234.56 ~99%",
    "Привет мир, 你好，世界。 こんにちは、안녕하세요 مرحبا שלום नमस्ते 🙂👩‍💻 ½ ﬁ é",
    "  two spaces, three   spaces and a tab\tat the end \t ",
)


def different_split(donor: Path, first: Tokenizer, folder: Path, second: Tokenizer) -> str | None:
    """A text that two tokenizers with the same ids split differently, None if there is none.

    Args:
        donor, folder: of `first` and `second`. Where their files differ, transformers' classes decide, which can read other
            files alike, and the same tokenizer.json otherwise by the settings beside it.
    """
    found = _different(first, second)
    if found is None and splitting_settings(donor, first) == splitting_settings(folder, second):
        return None
    loaded = [_as_transformers_loads(path) for path in (donor, folder)]
    return found if None in loaded else _different(*filter(None, loaded))


def splitting_settings(folder: Path, tokenizer: Tokenizer) -> Any:
    """What tokenizer_config.json says of how text is split, and tokenizer.json does not."""
    path = folder / TOKENIZER_CONFIG
    config = read_json(path) if path.is_file() else {}
    known = {
        str(id): {flag: getattr(token, flag) for flag in _FLAGS}
        for id, token in tokenizer.get_added_tokens_decoder().items()
    }
    said = config.get("added_tokens_decoder")
    others = {
        id: flags
        for id, token in (said.items() if isinstance(said, dict) else ())
        if isinstance(token, dict) and known.get(id) != (flags := {flag: token.get(flag) for flag in _FLAGS})
    }
    return others, bool(config.get("split_special_tokens"))


def _different(first: Tokenizer, second: Tokenizer) -> str | None:
    ids = sorted(first.get_vocab(with_added_tokens=True).values())
    tokens = [first.decode([id], skip_special_tokens=False) for id in ids[:: max(1, len(ids) // _SAMPLED)]]
    added = [token.content for token in first.get_added_tokens_decoder().values()][:_ADDED]
    texts = [*_TEXTS, *tokens, "".join(tokens), *(f"a {token} b\n{token}\n{token}c{token}" for token in added)]
    for tokenizer in (first, second):
        tokenizer.no_truncation()
        tokenizer.no_padding()
    return next((text for text in texts if _split(first, text) != _split(second, text)), None)


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
