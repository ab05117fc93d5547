"""Estimates, intervals and tests: numpy arrays in, floats out. Nothing here knows what a method or an episode is."""

from agentmerge_hub.analysis.statistics.improvement import improvement
from agentmerge_hub.analysis.statistics.paired_tests import holm, mcnemar, sign_flip
from agentmerge_hub.analysis.statistics.standard_errors import (
    binomial_error,
    expanded_percentiles,
    fixed_task_error,
    fixed_task_interval,
    new_task_error,
    new_task_interval,
    resamples,
)

__all__ = [
    "binomial_error",
    "expanded_percentiles",
    "fixed_task_error",
    "fixed_task_interval",
    "holm",
    "improvement",
    "mcnemar",
    "new_task_error",
    "new_task_interval",
    "resamples",
    "sign_flip",
]
