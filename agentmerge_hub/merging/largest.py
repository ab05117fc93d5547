"""Which k values of an array are the largest, as mergekit's sort has it, without sorting.

mergekit keeps the first k of ``torch.argsort(descending=True)``. Above and below the k-th largest value there is nothing to
choose. Among the values equal to it there is, and checkpoints have many: differences of bfloat16 numbers repeat. Torch
sorts with the C++ library's std::sort, an introsort, whose choice among equals follows from its partitions. Only the
partitions that hold the k-th place matter, and these are a quickselect: O(n) in place of O(n log n).
"""

import functools
from collections.abc import Iterator

import numpy as np
import torch

_LEAF = 16
"""GNU std::sort leaves ranges of this length to one final insertion sort, which keeps equals in their order."""

_BLOCK = 1 << 16
"""Values looked at together: what is noted of them stays in a core's cache."""


def largest(values: np.ndarray, k: int, places: np.ndarray | None = None) -> np.ndarray:
    """A mask of the k largest values; among equals, of those mergekit's sort puts first.

    Args:
        values: float32, one dimension, no NaN; left in another order.
        k: 1 … n.
        places: n integers of memory to work in, of any content; int64 where n ≥ 2³¹.
    """
    mask = np.zeros(len(values), dtype=bool)
    if not _is_gnu_sort():
        mask[_sorted_front(values, k)] = True
        return mask
    if places is None:
        places = np.empty(len(values), dtype=np.int64)
    for begin in range(0, len(values), _BLOCK):
        places[begin : begin + _BLOCK] = np.arange(begin, min(len(values), begin + _BLOCK))
    chosen = _front(values, places, k)
    if chosen is None:
        restored = np.empty_like(values)
        restored[places] = values
        chosen = _sorted_front(restored, k)
    mask[chosen] = True
    return mask


def _sorted_front(values: np.ndarray, k: int) -> np.ndarray:
    return torch.argsort(torch.from_numpy(values), descending=True)[:k].numpy()


@functools.cache
def _is_gnu_sort() -> bool:
    """Whether this torch sorts as described: seen on a small array of many equals, where other sorts differ."""
    values = (np.arange(999) * 7919 % 5).astype(np.float32)
    sorted_front = _sorted_front(values, 450)
    found = _front(values, np.arange(999), 450)
    return found is not None and set(found) == set(sorted_front)


def _front(values: np.ndarray, places: np.ndarray, k: int) -> np.ndarray | None:
    """The places of the first k values of a descending introsort; None where that would turn to a heap sort."""
    low, high = 0, len(values)
    rounds = 2 * (len(values).bit_length() - 1)
    while high - low > _LEAF:
        if rounds == 0:
            return None
        rounds -= 1
        cut = _partition(values[low:high], places[low:high]) + low
        low, high = (cut, high) if k - 1 >= cut else (low, cut)
    order = np.argsort(-values[low:high], kind="stable")
    return np.concatenate([places[:low], places[low:high][order][: k - low]])


def _partition(values: np.ndarray, places: np.ndarray) -> int:
    """One descending partition in place, large values to the left; where the right part begins.

    The pivot, a median of three, goes first. Two pointers walk inwards, the left one halts at values not above the pivot,
    the right one at values not below it, and what they halt at is exchanged. So the i-th halt from the left meets the
    i-th from the right, until they cross.
    """
    _swap(values, places, np.array([0]), np.array([_median(values, 1, len(values) // 2, len(values) - 1)]))
    pivot, crossing, last = values[0], _crossing(values), len(values)
    from_left = _left_halts(values, pivot, 1, crossing)
    from_right = _right_halts(values, pivot, crossing)
    here, there = next(from_left, None), next(from_right, None)
    while here is not None and there is not None:
        swaps = min(len(here), len(there))
        _swap(values, places, here[:swaps], there[:swaps])
        last = int(there[swaps - 1])
        here = here[swaps:] if swaps < len(here) else next(from_left, None)
        there = there[swaps:] if swaps < len(there) else next(from_right, None)
    # The left pointer halts next at a value that was not exchanged, or at the last that was.
    if here is None:
        here = next(_left_halts(values, pivot, crossing, last), None)
    return last if here is None else int(here[0])


def _left_halts(values: np.ndarray, pivot: np.float32, begin: int, end: int) -> Iterator[np.ndarray]:
    """Where the left pointer halts from `begin` to `end`, in order, a block at a time."""
    for low in range(begin, end, _BLOCK):
        found = np.flatnonzero(values[low : min(low + _BLOCK, end)] <= pivot)
        if len(found):
            yield found + low


def _right_halts(values: np.ndarray, pivot: np.float32, begin: int) -> Iterator[np.ndarray]:
    """Where the right pointer halts from the end down to `begin`, in order, a block at a time."""
    for high in range(len(values), begin, -_BLOCK):
        low = max(begin, high - _BLOCK)
        found = np.flatnonzero(values[low:high] >= pivot)
        if len(found):
            yield found[::-1] + low


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
        kept = array[here]
        array[here] = array[there]
        array[there] = kept


def _median(values: np.ndarray, first: int, second: int, third: int) -> int:
    """Which of three places holds the median; among equals, the order in which std::sort asks decides."""
    a, b, c = values[first], values[second], values[third]
    if a > b:
        return second if b > c else third if a > c else first
    return first if a > c else third if b > c else second
