"""The k largest values are those mergekit's sort puts first, equal values included."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.merging import largest as room


def by_sorting(values: np.ndarray, k: int) -> np.ndarray:
    mask = np.zeros(len(values), dtype=bool)
    mask[torch.argsort(torch.from_numpy(values), descending=True)[:k].numpy()] = True
    return mask


@given(
    n=st.integers(1, 3000),
    levels=st.one_of(st.integers(1, 60), st.none()),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
    block=st.sampled_from([7, 64, 1 << 16]),
)
def test_the_largest_are_those_a_full_sort_would_keep(
    n: int, levels: int | None, share: float, seed: int, block: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, levels, n) if levels else np.abs(random.standard_normal(n))
    values = values.astype(np.float32)
    k = max(1, int(share * n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_BLOCK", block)
        assert np.array_equal(room.largest(values.copy(), k), by_sorting(values, k))


def test_a_sort_of_another_kind_is_left_to_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(1000, dtype=np.float32) % 7
    monkeypatch.setattr(room, "_is_gnu_sort", lambda: False)
    assert np.array_equal(room.largest(values.copy(), 300), by_sorting(values, 300))


def test_where_a_sort_turns_to_a_heap_the_values_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    values = (np.arange(1000, dtype=np.float32) * 37) % 101
    room._is_gnu_sort()  # asked once, before the search is made to give up
    front = room._front
    monkeypatch.setattr(room, "_front", lambda *given: _spent(front, *given))
    assert np.array_equal(room.largest(values.copy(), 300), by_sorting(values, 300))


def _spent(front, *given):
    """The real search, which moves values, and then says that it ran out of rounds."""
    front(*given)
    return None
