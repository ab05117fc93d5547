"""Masks are kept in batches, so that memory has a bound whatever the number of checkpoints and models."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agentmerge_hub.merging.engine import streaming, ties_mask
from agentmerge_hub.merging.engine.arithmetic import ALIGNMENT

merges = st.lists(st.lists(st.integers(0, 200), max_size=90, unique=True), min_size=1, max_size=40)


@given(masks=merges, count=st.integers(1, 5000), larger=st.integers(0, 5000))
def test_a_batch_keeps_at_most_four_bytes_a_value(masks: list[list[int]], count: int, larger: int) -> None:
    largest = count + larger
    needed = {merge: [("base", str(model), 0.5) for model in models] for merge, models in enumerate(masks)}
    found = ties_mask.batches(needed, count, largest)
    for batch in found:
        together = set().union(*(needed[merge] for merge in batch.merges))
        kept = len(together) * ((batch.end - batch.begin + 7) // 8)
        assert kept <= ties_mask.MASK_BYTES * largest + len(together) * ALIGNMENT // 8 and batch.begin % ALIGNMENT == 0
    for merge in needed:
        parts = sorted((batch.begin, batch.end) for batch in found if merge in batch.merges)
        assert parts[0][0] == 0 and parts[-1][1] == count
        assert all(end == begin for (_, end), (begin, _) in pairwise(parts))


@given(kept=st.lists(st.booleans(), min_size=1, max_size=300), chunk=st.integers(1, 10).map(lambda eights: 8 * eights))
def test_the_chunks_of_a_mask_are_the_mask(kept: list[bool], chunk: int) -> None:
    mask = np.packbits(kept)
    spans = [(begin, min(len(kept), begin + chunk)) for begin in range(0, len(kept), chunk)]
    assert torch.cat([ties_mask.chunk_of(mask, *span) for span in spans]).tolist() == kept


@pytest.mark.parametrize("models", [1, 2, 30, 62, 100, 500])
@pytest.mark.parametrize("together", [True, False])
def test_all_memory_is_below_four_times_the_largest_tensor(models: int, together: bool) -> None:
    """One merge of many models, or a sweep over many checkpoints: search, masks, and the chunks of each thread."""
    largest = 30_000_000
    counts = [models] if together else [2] * models
    formulas = [SimpleNamespace(method="ties", models=["model"] * count) for count in counts]
    threads, chunk = streaming.thread_count([SimpleNamespace(formula=one) for one in formulas], models + 1, largest)
    masks = min(ties_mask.MASK_BYTES, sum(counts) / 8) * largest
    chunks = threads * 4 * chunk * (1.5 * (models + 1) + 6 + 4.5 * max(counts))
    assert chunk % ALIGNMENT == 0
    assert ties_mask.SEARCH_BYTES * largest + masks + chunks <= 16 * largest
