"""Tests of paired differences, and Holm's correction: numpy arrays in, p-values out."""

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

FLIPS_AT_ONCE = 5_000
"""Random sign flips in one batch, which bounds the memory."""


def sign_flip(differences: ArrayLike, *, draws: int = 100_000, seed: int = 0) -> float:
    """Two-sided p-value of Σ differences when the sign of each unit is a fair coin.

    Units are pairs, or tasks with their pairs summed. Exact where the differences are multiples of 1, 1/2, … 1/12 (0/1
    rewards always are), by convolution; else by `draws` random flips, with the observed one counted.
    """
    units = np.asarray(differences, float)
    units = units[units != 0]
    if len(units) == 0:
        return 1.0
    observed = abs(units.sum())
    for parts in range(1, 13):
        scaled = np.abs(units) * parts
        if np.allclose(scaled, np.round(scaled), atol=1e-9):
            return _exact_sign_flip(np.round(scaled).astype(int), round(observed * parts))
    random, hits = np.random.default_rng(seed), 0
    for begin in range(0, draws, FLIPS_AT_ONCE):
        flips = random.integers(0, 2, size=(min(FLIPS_AT_ONCE, draws - begin), len(units)), dtype=np.int8)
        hits += int((np.abs((2.0 * flips - 1) @ units) >= observed - 1e-12).sum())
    return (hits + 1) / (draws + 1)


def _exact_sign_flip(sizes: NDArray[np.int_], observed: int) -> float:
    chance = np.ones(1)
    for size in sizes:
        chance = (np.pad(chance, (2 * size, 0)) + np.pad(chance, (0, 2 * size))) / 2
    sums = np.arange(len(chance)) - sizes.sum()
    return float(min(1.0, chance[np.abs(sums) >= observed].sum()))


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
