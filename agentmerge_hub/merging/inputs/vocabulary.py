"""Vocabularies compared: which rows of the embeddings a merge takes from every input, decided before any weight is read.

The tokenizer's model (the donor) gives the merge its tokens. Rows of other tokens are left out, as mergekit does where a
spec names a tokenizer source. A token that an input lacks needs mergekit's `tokenizer:` block.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from agentmerge_hub.errors import UserError
from agentmerge_hub.merging.inputs.token_splits import different_split, has_same_files
from agentmerge_hub.merging.specs.spec import Spec, tokenizer_source_of

_FILE = "tokenizer.json"
_OTHER_FILES = ("tokenizer.model", "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tekken.json")
"""Tokenizers that are not read here."""


@dataclass(frozen=True)
class Rows:
    """The rows of a merge's embeddings and head."""

    tokens: int
    """Size of the donor's vocabulary."""
    count: int | None
    """Rows of the merge; None if mergekit builds the vocabulary and its size is known after the merge only."""
    aligned_by_mergekit: bool
    """The spec has a `tokenizer:` block that only mergekit computes."""
    trims: bool
    """The spec names a tokenizer source, so rows beyond the tokens are left out."""
    built: int | None = None
    """Rows that mergekit is expected to build, for a plan (`tokenizer_block`)."""


def vocabulary(folder: Path) -> dict[str, int]:
    """Token → id of a model folder's tokenizer, added tokens included.

    Raises:
        UserError: if it has no tokenizer.json, or a damaged one.
    """
    return _tokenizer(folder).get_vocab(with_added_tokens=True)


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / _FILE
    if not path.is_file():
        raise UserError(f"{folder} has no tokenizer.json: a merge takes its tokenizer from there")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from error


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has a tokenizer of its own, of whatever kind."""
    return any((folder / name).is_file() for name in (_FILE, *_OTHER_FILES))


def rows_of(spec: Spec, folders: Mapping[str, Path], donor: str, base: str) -> Rows:
    """The rows of a merge, after comparing the inputs' vocabularies; a folder without a tokenizer is taken to share it.

    Args:
        folders: reference → folder.
        donor: reference of the model that gives the tokenizer.
        base: reference of the model whose turns and tokens need not be the donor's.

    Raises:
        UserError: if an input has other ids, splits text otherwise, has its tokens in another file than tokenizer.json, or lacks
            tokens and the spec has no `tokenizer:` block.
    """
    tokenizer = _tokenizer(folders[donor])
    for reference, folder in folders.items():
        other_file = next((name for name in _OTHER_FILES if (folder / name).is_file()), None)
        if other_file and not (folder / _FILE).is_file():
            raise UserError(
                f"{reference} has a {other_file} and no {_FILE}, so that its tokens cannot be compared: load its tokenizer with "
                f"transformers and save it there, or remove {other_file} if its tokens are those of {donor}"
            )
    expected = tokenizer.get_vocab(with_added_tokens=True)
    trims = tokenizer_source_of(spec.config) is not None
    block: Any = spec.config.get("tokenizer")
    multiple = block.get("pad_to_multiple_of") if isinstance(block, dict) else None
    if multiple is not None and (isinstance(multiple, bool) or not isinstance(multiple, int) or multiple < 1):
        raise UserError(f"pad_to_multiple_of is {multiple!r}, and should be a whole number above 0")
    union = tokenizer_source_of(spec.config) == "union"
    if union or (isinstance(block, dict) and block.get("tokens")):
        return Rows(len(expected), None, True, trims)
    if sorted(expected.values()) != list(range(len(expected))):
        raise UserError(f"the token ids of {donor} are not 0 … {len(expected) - 1}: the rows of a merge would shift")
    by_mergekit = bool(multiple)
    for reference, folder in folders.items():
        if not (folder / _FILE).is_file() or has_same_files(folders[donor], folder):
            continue
        own = _tokenizer(folder)
        other = own.get_vocab(with_added_tokens=True)
        if not any(other.get(token) != id for token, id in expected.items()):
            if trims or len(other) == len(expected):
                if reference != base and (difference := different_split(folders[donor], tokenizer, folder, own)):
                    raise UserError(
                        f"the tokenizer of {reference} {difference}, unlike that of {donor}: it was trained on other tokens, "
                        f"train it with the tokenizer of {donor}"
                    )
                continue
            raise UserError(
                f"{reference} has {len(other)} tokens, {donor} {len(expected)}: set tokenizer_source to the model whose "
                "tokens the merge should have"
            )
        if isinstance(block, dict):
            by_mergekit = True  # its `source` is a model, and mergekit moves each token's row to its id
            continue
        token = min((token for token, id in expected.items() if other.get(token) != id), key=expected.__getitem__)
        raise UserError(
            f"the vocabulary of {reference} is not that of {donor}: {token!r} is token {other.get(token)} there and "
            f"{expected.get(token)} here; if it should be merged all the same, write a `tokenizer:` block with a source and, "
            "for each such token, where its embedding comes from (mergekit's documentation)"
        )
    if not multiple:
        return Rows(len(expected), len(expected) if trims else None, by_mergekit, trims)
    return Rows(len(expected), -(-len(expected) // multiple) * multiple, True, trims)
