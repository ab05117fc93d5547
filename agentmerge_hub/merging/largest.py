"""Which k values of an array are the largest, as mergekit's sort has it, without sorting.

mergekit keeps the first k of ``torch.argsort(descending=True)``. Above and below the k-th largest value there is nothing to
choose. Among the values equal to it there is, and checkpoints have many: differences of bfloat16 numbers repeat. Torch
sorts with the C++ library's std::sort, an introsort, whose choice among equals follows from its partitions. Only the
partitions that hold the k-th place matter, and these are a quickselect: O(n) in place of O(n log n). The k-th largest
value is found first, so that a partition moves only what goes to the side where that value is.
"""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

_LEAF = 16
"""GNU std::sort leaves ranges of this length to one final insertion sort, which keeps equals in their order."""

_BLOCK = 1 << 16
"""Values looked at together: what is noted of them stays in a core's cache."""

_SAMPLE = 1 << 15
"""Values that tell roughly where the k-th largest is."""


def largest(values: np.ndarray, k: int, places: np.ndarray | None = None) -> np.ndarray | None:
    """A mask of the k largest values; among equals, of those mergekit's sort puts first.

    None where that sort would turn to a heap sort, as it hardly ever does: `by_sorting` tells then.

    Args:
        values: float32, one dimension, no NaN; spent on the search.
        k: 1 … n.
        places: n integers of memory to work in, of any content; int64 where n ≥ 2³¹.
    """
    if not _is_gnu_sort():
        return by_sorting(values, k)
    threshold = kth_largest(values, k)
    mask = values > threshold
    if k - np.count_nonzero(mask) == _count(values, threshold, np.equal):
        return np.greater_equal(values, threshold, out=mask)
    places = np.empty(len(values), dtype=np.int64) if places is None else places
    chosen = _chosen_equals(values, places, k, threshold)
    if chosen is None:
        return None
    mask[chosen] = True
    return mask


def by_sorting(values: np.ndarray, k: int) -> np.ndarray:
    """The same mask, by the sort itself."""
    mask = np.zeros(len(values), dtype=bool)
    mask[torch.argsort(torch.from_numpy(values), descending=True)[:k].numpy()] = True
    return mask


def kth_largest(values: np.ndarray, k: int) -> np.float32:
    """The k-th largest value: a sample tells between which two it must be, and few others are looked at."""
    count = len(values)
    if count > 4 * _SAMPLE:
        sample = np.sort(values[np.random.default_rng(0).integers(count, size=_SAMPLE)])
        rank, margin = (count - k) * _SAMPLE // count, 3 * math.isqrt(_SAMPLE)  # six standard deviations or more
        low, high = sample[max(0, rank - margin)], sample[min(_SAMPLE - 1, rank + margin)]
        above = _count(values, high, np.greater)
        if above < k <= above + (_count(values, high, np.equal) if low == high else 0):
            return high
        between = [block[(block >= low) & (block <= high)] for block in _blocks(values)] if low < high else []
        inside = sum(map(len, between))
        if above < k <= above + inside:
            left = inside - (k - above)
            return np.partition(np.concatenate(between), left)[left]
    return np.partition(values, count - k)[count - k]


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    for begin in range(0, len(values), _BLOCK):
        yield values[begin : begin + _BLOCK]


def _count(values: np.ndarray, limit: np.float32, compare: Callable[..., np.ndarray]) -> int:
    return sum(np.count_nonzero(compare(block, limit)) for block in _blocks(values))


@functools.cache
def _is_gnu_sort() -> bool:
    """Whether this torch sorts as described: seen on a small array of many equals, where other sorts differ."""
    values = (np.arange(999) * 7919 % 5).astype(np.float32)
    threshold = np.partition(values, -450)[-450]
    chosen = _chosen_equals(values.copy(), np.arange(999), 450, threshold)
    wanted = np.flatnonzero(by_sorting(values, 450) & (values == threshold))
    return chosen is not None and set(wanted) <= set(chosen)


def _chosen_equals(values: np.ndarray, places: np.ndarray, k: int, threshold: np.float32) -> np.ndarray | None:
    """The places of the values equal to the k-th largest that a descending introsort puts among the first k.

    Some places of larger values come along. None where the sort would turn to a heap sort.
    """
    for begin in range(0, len(values), _BLOCK):
        places[begin : begin + _BLOCK] = np.arange(begin, min(len(values), begin + _BLOCK))
    low, high = 0, len(values)
    rounds = 2 * (len(values).bit_length() - 1)
    chosen = []
    while high - low > _LEAF:
        if rounds == 0:
            return None
        rounds -= 1
        part, own = values[low:high], places[low:high]
        cut, pivot = _partition(part, own, threshold)
        if k - 1 >= low + cut:
            if pivot == threshold:
                chosen.append(own[:cut][part[:cut] == threshold])
            low += cut
        else:
            high = low + cut
    order = np.argsort(-values[low:high], kind="stable")
    return np.concatenate([*chosen, places[low:high][order][: k - low]])


def _partition(values: np.ndarray, places: np.ndarray, wanted: np.float32) -> tuple[int, np.float32]:
    """One descending partition in place, large values to the left; where the right part begins, and the pivot.

    The pivot, a median of three, goes first. Two pointers walk inwards, the left one halts at values not above the pivot,
    the right one at values not below it, and what they halt at is exchanged. So the i-th halt from the left meets the
    i-th from the right, until they cross. On the side where no value equal to `wanted` can be, nothing is written.
    """
    _swap(values, places, np.array([0]), np.array([_median(values, 1, len(values) // 2, len(values) - 1)]))
    pivot, crossing, last = values[0], _crossing(values), len(values)
    move = _swap if wanted == pivot else _copy
    from_left = _left_halts(values, pivot, 1, crossing)
    from_right = _right_halts(values, pivot, crossing)
    here, there = next(from_left, None), next(from_right, None)
    while here is not None and there is not None:
        swaps = min(len(here), len(there))
        last = int(there[swaps - 1])
        if wanted > pivot:
            move(values, places, here[:swaps], there[:swaps])
        else:
            move(values, places, there[:swaps], here[:swaps])
        here = here[swaps:] if swaps < len(here) else next(from_left, None)
        there = there[swaps:] if swaps < len(there) else next(from_right, None)
    # The left pointer halts next at a value that was not exchanged, or at the last that was.
    if here is None:
        here = next(_left_halts(values, pivot, crossing, last), None)
    return (last if here is None else int(here[0])), pivot


def _left_halts(values: np.ndarray, pivot: np.float32, begin: int, end: int) -> Iterator[np.ndarray]:
    """Where the left pointer halts from `begin` to `end`, in order, a block at a time."""
    for low in range(begin, end, _BLOCK):
        found = np.flatnonzero(values[low : min(low + _BLOCK, end)] <= pivot)
        if len(found):
            found += low
            yield found


def _right_halts(values: np.ndarray, pivot: np.float32, begin: int) -> Iterator[np.ndarray]:
    """Where the right pointer halts from the end down to `begin`, in order, a block at a time."""
    for high in range(len(values), begin, -_BLOCK):
        low = max(begin, high - _BLOCK)
        found = np.flatnonzero(values[low:high] >= pivot)
        if len(found):
            found += low
            yield found[::-1]


def _crossing(values: np.ndarray) -> int:
    """The first index with as many left halts before it as there are right halts at and behind it."""
    pivot, starts = values[0], range(1, len(values), _BLOCK)
    left = [np.count_nonzero(values[low : low + _BLOCK] <= pivot) for low in starts]
    right = [np.count_nonzero(values[low : low + _BLOCK] >= pivot) for low in starts]
    before, behind = 0, sum(right)
    for low, in_left, in_right in zip(starts, left, right):
        if before + in_left >= behind - in_right:
            block = values[low : low + _BLOCK]
            counted = before + np.concatenate([[0], np.cumsum(block <= pivot)])
            remaining = behind - np.concatenate([[0], np.cumsum(block >= pivot)])
            return low + int(np.argmax(counted >= remaining))
        before, behind = before + in_left, behind - in_right
    return len(values)


def _swap(values: np.ndarray, places: np.ndarray, here: np.ndarray, there: np.ndarray) -> None:
    for array in (values, places):
        kept = array.take(here)
        array[here] = array.take(there)
        array[there] = kept


def _copy(values: np.ndarray, places: np.ndarray, to: np.ndarray, from_: np.ndarray) -> None:
    for array in (values, places):
        array[to] = array.take(from_)


def _median(values: np.ndarray, first: int, second: int, third: int) -> int:
    """Which of three places holds the median; among equals, the order in which std::sort asks decides."""
    a, b, c = values[first], values[second], values[third]
    if a > b:
        return second if b > c else third if a > c else first
    return first if a > c else third if b > c else second
