"""Estimates, intervals, tests and their power: numpy arrays in, floats out. Nothing here knows what an episode is."""

from agentmerge_hub.analysis.statistics.paired_tests import holm, mcnemar
from agentmerge_hub.analysis.statistics.standard_errors import binomial_error, fixed_task_error, new_task_error

__all__ = ["binomial_error", "fixed_task_error", "holm", "mcnemar", "new_task_error"]
