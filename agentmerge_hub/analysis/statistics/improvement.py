"""Probability of improvement: how often an episode of one method scores above one of another on the same task."""

import numpy as np
from numpy.typing import ArrayLike

from agentmerge_hub.analysis.statistics.standard_errors import NAN, Floats, expanded_percentiles, resamples


def improvement(
    a: list[ArrayLike], b: list[ArrayLike], *, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Probability that an episode of A scores above one of B on the same task, ties counted half, and a 95 % interval.

    Args:
        a, b: rewards by task, in the same order of tasks.

    Mann and Whitney's U over n·m by task, averaged over tasks (Agarwal et al., 2021); the interval draws tasks.
    """
    chances = np.array([_above(np.asarray(x, float), np.asarray(y, float)) for x, y in zip(a, b)])
    if len(chances) < 2:
        return (float(chances.mean()) if len(chances) else NAN, NAN, NAN)
    means = resamples(len(chances), draws, seed) @ chances / len(chances)
    low, high = expanded_percentiles(means, len(chances))
    return float(chances.mean()), max(0.0, low) if low == low else low, min(1.0, high) if high == high else high


def _above(x: Floats, y: Floats) -> float:
    return float(((x[:, None] > y).mean() + (x[:, None] >= y).mean()) / 2)
