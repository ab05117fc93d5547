"""McNemar's test of pairs, and Holm's correction: counts or p-values in, p-values out."""

from math import comb

import numpy as np
from numpy.typing import ArrayLike


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided McNemar test: wins among the pairs that differ are a fair coin's."""
    n = wins + losses
    if n == 0:
        return 1.0
    tail = sum(comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n
    return min(1.0, 2 * tail)


def holm(p_values: ArrayLike) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaN stays NaN and is not counted."""
    p = np.asarray(p_values, float)
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p) if not np.isnan(p[i])]
    largest = 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = largest
    return [float(value) for value in adjusted]
