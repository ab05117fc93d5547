"""Merges and scores of tokenizers are compared as such: few texts show a difference between them."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from agentmerge_hub.merging.inputs.token_splits import different_split

_ID_OF = {token: id for id, token in enumerate(["a", "b", "c", "d", "ab", "bc", "cd", "abc"])}
_MERGES = [("a", "b"), ("b", "c"), ("c", "d"), ("ab", "c"), ("a", "bc")]


def merged(*order: int) -> Tokenizer:
    return Tokenizer(models.BPE(_ID_OF, [_MERGES[index] for index in order]))


def scored(score: float) -> Tokenizer:
    return Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0), ("ab", score)], 0))


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (merged(0, 1, 2, 3, 4), merged(0, 2, 1, 3, 4), "has other merges, e.g. of 'bc'"),
        (merged(0, 1, 2, 3, 4), merged(0, 1, 2, 4, 3), None),  # both are merged into abc
        (merged(0, 1, 2, 3, 4), merged(0, 1, 2, 3), "has other merges, e.g. of 'abc'"),
        (scored(-2.9), scored(-2.8), "has other scores, e.g. of 'ab'"),
        (scored(-2.9), scored(-2.9000000953674316), None),
    ],
)
def test_tables(tmp_path: Path, first: Tokenizer, second: Tokenizer, said: str | None) -> None:
    """The folders hold nothing that transformers loads."""
    assert different_split(tmp_path, first, tmp_path, second) == said
