"""The k largest values are those mergekit's sort puts first, equal values included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.merging.engine import topk


@given(
    n=st.integers(1, 3000),
    levels=st.one_of(st.integers(1, 60), st.none()),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
    block=st.sampled_from([8, 64, 1 << 16]),
)
def test_the_largest_are_those_a_full_sort_would_keep(
    n: int, levels: int | None, share: float, seed: int, block: int
) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, levels, n) if levels else np.abs(random.standard_normal(n))
    values = values.astype(np.float32)
    k = max(1, int(share * n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "_BLOCK", block)
        assert np.array_equal(topk.topk_mask(values.copy(), k), np.packbits(topk.topk_mask_by_sort(values, k)))


def test_a_sort_of_another_kind_is_left_to_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(1000, dtype=np.float32) % 7
    monkeypatch.setattr(topk, "_is_gnu_sort", lambda: False)
    assert np.array_equal(topk.topk_mask(values.copy(), 300), np.packbits(topk.topk_mask_by_sort(values, 300)))


def test_where_a_sort_turns_to_a_heap_it_is_left_to_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.minimum(np.arange(1000, dtype=np.float32), 700)  # equals on both sides of the 200th place
    topk._is_gnu_sort()  # called once, before the search is made to give up
    monkeypatch.setattr(topk, "_median", lambda values, *indices: int(np.argmin(values)))  # the worst of pivots
    assert topk.topk_mask(values.copy(), 200) is None


@given(
    n=st.integers(1, 2000),
    levels=st.one_of(st.integers(1, 60), st.none()),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_threshold_is_the_kth_largest(n: int, levels: int | None, share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, levels, n) if levels else np.abs(random.standard_normal(n))
    values, k = values.astype(np.float32), max(1, int(share * n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topk, "_SAMPLE", 16)
        assert topk.kth_largest(values, k) == np.sort(values)[n - k]


@pytest.mark.parametrize("levels", [200, 7])
def test_the_threshold_at_every_place(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).permutation(200).astype(np.float32) % levels
    monkeypatch.setattr(topk, "_SAMPLE", 16)
    assert [topk.kth_largest(values, k) for k in range(1, 201)] == sorted(values, reverse=True)
