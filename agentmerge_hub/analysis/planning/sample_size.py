"""Closed-form sample sizes for published means without episodes, and the bound that no success gives.

Rewards and differences are fractions (0.05 = five points). Studies of this project are planned by simulation: `design`.
"""

from math import ceil, sqrt


def _z(alpha: float, power: float) -> tuple[float, float]:
    from scipy.stats import norm

    return float(norm.ppf(1 - alpha / 2)), float(norm.ppf(power))


def unpaired(rate: float, difference: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Episodes an arm when the arms run different episodes: two proportions, pooled under the null (Fleiss)."""
    other = rate + difference
    middle = (rate + other) / 2
    a, b = _z(alpha, power)
    spread = a * sqrt(2 * middle * (1 - middle)) + b * sqrt(rate * (1 - rate) + other * (1 - other))
    return ceil((spread / difference) ** 2)


def paired(difference: float, discordant: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs, when a share `discordant` of them differs in success (Connor, 1987, for McNemar's test)."""
    a, b = _z(alpha, power)
    spread = a * sqrt(discordant) + b * sqrt(discordant - difference**2)
    return ceil((spread / difference) ** 2)


def rate_above_none(n: int, level: float = 0.95) -> float:
    """Upper bound of a success rate after no success in n episodes (Clopper and Pearson, one-sided)."""
    return 1 - (1 - level) ** (1 / n)
