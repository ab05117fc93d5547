"""The top-k mask of an array, equal to mergekit's choice among equal values, without a full sort.

mergekit keeps the first k of ``torch.argsort(descending=True)``. Only the choice among values equal to the k-th largest
depends on the sort, and checkpoints have many equal values: differences of bfloat16 numbers repeat. Torch sorts with the C++
library's std::sort, an introsort, whose choice among equal values follows from its partitions. Only the partitions that hold
the k-th index matter, and these are a quickselect: O(n) instead of O(n log n). The k-th largest value is found first, so
that a partition moves only values of the side where that value is.
"""

import functools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

_INSERTION_SORT_LENGTH = 16
"""GNU std::sort leaves ranges of this length to one final insertion sort, which keeps equals in their order."""

_BLOCK = 1 << 16
"""Values that are compared at once, a multiple of 8: the results stay in a core's cache."""

_SAMPLE = 1 << 15
"""Number of values drawn to bound the k-th largest."""


def topk_mask(values: np.ndarray, k: int, indices: np.ndarray | None = None) -> np.ndarray | None:
    """A packed mask of the k largest values; among equal values, of those that mergekit's sort puts first.

    None where that sort would change to a heap sort, which is rare: use `topk_mask_by_sort` then.

    Args:
        values: float32, one dimension, no NaN; overwritten by the search.
        k: 1 … n.
        indices: n integers of memory to work in, with any content; int64 where n ≥ 2³¹.

    Returns:
        uint8, one bit a value, as `numpy.packbits` writes them.
    """
    if not _is_gnu_sort():
        return np.packbits(topk_mask_by_sort(values, k))
    indices = np.empty(len(values), dtype=np.int64) if indices is None else indices
    threshold = kth_largest(values, k, indices.view(np.float32))
    if k - _count(values, threshold, np.greater) == _count(values, threshold, np.equal):
        return _packed(values, threshold, np.greater_equal)
    mask = _packed(values, threshold, np.greater)
    chosen = _chosen_equals(values, indices, k, threshold)
    if chosen is None:
        return None
    unpacked = values.view(np.uint8)[: len(values)]  # the values are not needed any more
    for begin in range(0, len(values), _BLOCK):
        end = min(len(values), begin + _BLOCK)
        unpacked[begin:end] = np.unpackbits(mask[begin // 8 : (end + 7) // 8], count=end - begin)
    unpacked[chosen] = 1
    return _packed(unpacked, 0, np.greater)


def topk_mask_by_sort(values: np.ndarray, k: int) -> np.ndarray:
    """The same mask, by the sort itself, as booleans."""
    mask = np.zeros(len(values), dtype=bool)
    mask[torch.argsort(torch.from_numpy(values), descending=True)[:k].numpy()] = True
    return mask


def kth_largest(values: np.ndarray, k: int, scratch: np.ndarray | None = None) -> np.float32:
    """The k-th largest value: a sample bounds it from both sides, and few other values are looked at.

    Args:
        scratch: at least n float32 values of memory to work in.
    """
    count = len(values)
    scratch = np.empty(count, dtype=np.float32) if scratch is None else scratch
    if count > 4 * _SAMPLE:
        sample = np.sort(values[np.random.default_rng(0).integers(count, size=_SAMPLE)])
        rank, margin = (count - k) * _SAMPLE // count, 3 * math.isqrt(_SAMPLE)  # six standard deviations or more
        low, high = sample[max(0, rank - margin)], sample[min(_SAMPLE - 1, rank + margin)]
        above = _count(values, high, np.greater)
        if above < k <= above + (_count(values, high, np.equal) if low == high else 0):
            return high
        inside = 0
        for block in _blocks(values) if low < high else ():
            between = block[(block >= low) & (block <= high)]
            scratch[inside : inside + len(between)] = between
            inside += len(between)
        if above < k <= above + inside:
            scratch[:inside].sort()  # many are equal: faster than numpy's partition
            return scratch[inside - (k - above)]
    scratch[:count] = values
    scratch[:count].partition(count - k)
    return scratch[count - k]


def _packed(values: np.ndarray, limit: np.float32 | int, compare: Callable[..., np.ndarray]) -> np.ndarray:
    """A comparison of every value with a limit, as packed bits."""
    mask = np.empty((len(values) + 7) // 8, dtype=np.uint8)
    for begin in range(0, len(values), _BLOCK):
        bits = np.packbits(compare(values[begin : begin + _BLOCK], limit))
        mask[begin // 8 : begin // 8 + len(bits)] = bits
    return mask


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    for begin in range(0, len(values), _BLOCK):
        yield values[begin : begin + _BLOCK]


def _count(values: np.ndarray, limit: np.float32, compare: Callable[..., np.ndarray]) -> int:
    return sum(int(np.count_nonzero(compare(block, limit))) for block in _blocks(values))


@functools.cache
def _is_gnu_sort() -> bool:
    """Whether this torch sorts as described: checked on a small array of many equal values, where other sorts differ."""
    values = (np.arange(999) * 7919 % 5).astype(np.float32)
    threshold = np.partition(values, -450)[-450]
    chosen = _chosen_equals(values.copy(), np.arange(999), 450, threshold)
    target = np.flatnonzero(topk_mask_by_sort(values, 450) & (values == threshold))
    return chosen is not None and set(target) <= set(chosen)


def _chosen_equals(values: np.ndarray, indices: np.ndarray, k: int, threshold: np.float32) -> np.ndarray | None:
    """The indices of the values equal to the k-th largest that a descending introsort puts among the first k.

    The result also holds some indices of larger values. None where the sort would change to a heap sort.
    """
    within = np.arange(_BLOCK, dtype=indices.dtype)
    for begin in range(0, len(values), _BLOCK):
        np.add(within[: len(values) - begin], begin, out=indices[begin : min(len(values), begin + _BLOCK)])
    low, high = 0, len(values)
    rounds = 2 * (len(values).bit_length() - 1)
    chosen = []
    while high - low > _INSERTION_SORT_LENGTH:
        if rounds == 0:
            return None
        rounds -= 1
        part, part_indices = values[low:high], indices[low:high]
        cut, pivot = _partition(part, part_indices, threshold)
        if k - 1 >= low + cut:
            if pivot == threshold:
                chosen.append(part_indices[:cut][part[:cut] == threshold])
            low += cut
        else:
            high = low + cut
    order = np.argsort(-values[low:high], kind="stable")
    return np.concatenate([*chosen, indices[low:high][order][: k - low]])


def _partition(values: np.ndarray, indices: np.ndarray, target: np.float32) -> tuple[int, np.float32]:
    """One descending partition in place, large values to the left; where the right part begins, and the pivot.

    The pivot, a median of three, is swapped to the front. Two pointers move inwards: the left one halts at values not above
    the pivot, the right one at values not below it, and the two values are exchanged. So the i-th halt from the left is
    exchanged with the i-th from the right, until the pointers cross. The side that cannot hold `target` is not written.
    """
    _swap(values, indices, np.array([0]), np.array([_median(values, 1, len(values) // 2, len(values) - 1)]))
    pivot, crossing, last = values[0], _crossing(values), len(values)
    move = _swap if target == pivot else _copy
    from_left = _left_halts(values, pivot, 1, crossing)
    from_right = _right_halts(values, pivot, crossing)
    left, right = next(from_left, None), next(from_right, None)
    while left is not None and right is not None:
        swaps = min(len(left), len(right))
        last = int(right[swaps - 1])
        if target > pivot:
            move(values, indices, left[:swaps], right[:swaps])
        else:
            move(values, indices, right[:swaps], left[:swaps])
        left = left[swaps:] if swaps < len(left) else next(from_left, None)
        right = right[swaps:] if swaps < len(right) else next(from_right, None)
    # The left pointer halts next at a value that was not exchanged, or at the last that was.
    if left is None:
        left = next(_left_halts(values, pivot, crossing, last), None)
    return (last if left is None else int(left[0])), pivot


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
    before, behind = 0, int(sum(right))
    for low, in_left, in_right in zip(starts, left, right):
        if before + in_left >= behind - in_right:
            block = values[low : low + _BLOCK]
            counted = before + np.concatenate([[0], np.cumsum(block <= pivot)])
            remaining = behind - np.concatenate([[0], np.cumsum(block >= pivot)])
            return low + int(np.argmax(counted >= remaining))
        before, behind = before + int(in_left), behind - int(in_right)
    return len(values)


def _swap(values: np.ndarray, indices: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    for array in (values, indices):
        kept = array.take(first)
        array[first] = array.take(second)
        array[second] = kept


def _copy(values: np.ndarray, indices: np.ndarray, target: np.ndarray, source: np.ndarray) -> None:
    for array in (values, indices):
        array[target] = array.take(source)


def _median(values: np.ndarray, first: int, second: int, third: int) -> int:
    """Which of three indices holds the median; among equal values, the order of std::sort's comparisons decides."""
    a, b, c = values[first], values[second], values[third]
    if a > b:
        return second if b > c else third if a > c else first
    return first if a > c else third if b > c else second
