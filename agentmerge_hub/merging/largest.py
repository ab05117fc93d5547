"""Which k values of an array are the largest, as mergekit's sort has it, without sorting.

mergekit keeps the first k of ``torch.argsort(descending=True)``. Above and below the k-th largest value there is nothing to
choose. Among the values equal to it there is, and checkpoints have many: differences of bfloat16 numbers repeat. Torch
sorts with the C++ library's std::sort, an introsort, whose choice among equals follows from its partitions. Only the
partitions that hold the k-th place matter, and these are a quickselect: O(n) in place of O(n log n).
"""

import functools

import numpy as np
import torch

_LEAF = 16
"""GNU std::sort leaves ranges of this length to one final insertion sort, which keeps equals in their order."""


def largest(values: np.ndarray, k: int) -> np.ndarray:
    """A mask of the k largest values; among equals, of those mergekit's sort puts first.

    Args:
        values: float32, one dimension, no NaN; left in another order.
        k: 1 … n.
    """
    mask = np.zeros(len(values), dtype=bool)
    if not _is_gnu_sort():
        mask[_sorted_front(values, k)] = True
        return mask
    places = np.arange(len(values), dtype=np.int32 if len(values) < 2**31 else np.int64)
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
    pivot = values[0]
    left, right = values[1:] <= pivot, values[1:] >= pivot
    crossing = _crossing(left, right)
    here = np.flatnonzero(left[:crossing]) + 1
    there = np.flatnonzero(right[crossing:])[::-1] + crossing + 1
    swaps = min(len(here), len(there))
    _swap(values, places, here[:swaps], there[:swaps])
    # The left pointer halts next at a value that was not exchanged, or at the last that was.
    halts = [int(there[swaps - 1])] if swaps else []
    if swaps < len(here):
        halts.append(int(here[swaps]))
    elif crossing < len(left) and left[crossing:].any():
        halts.append(int(np.argmax(left[crossing:])) + crossing + 1)
    return min(halts)


def _crossing(left: np.ndarray, right: np.ndarray) -> int:
    """The first index with as many halts before it from the left as there are at and behind it from the right."""
    low, high = 0, len(left)
    before, behind = 0, 0
    while low < high:
        middle = (low + high) // 2
        before_middle = before + np.count_nonzero(left[low:middle])
        behind_middle = behind + np.count_nonzero(right[middle:high])
        if before_middle < behind_middle:
            low, before = middle + 1, before_middle + int(left[middle])
        else:
            high, behind = middle, behind_middle
    return low


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
