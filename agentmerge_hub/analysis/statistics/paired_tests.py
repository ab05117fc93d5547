"""McNemar's test of pairs, and Holm's correction: counts or p-values in, p-values out."""

import numpy as np
from numpy.typing import ArrayLike


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided McNemar test: wins among the pairs that differ are a fair coin's."""
    from scipy.special import bdtr

    n = wins + losses
    return min(1.0, 2 * float(bdtr(min(wins, losses), n, 0.5))) if n else 1.0


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
