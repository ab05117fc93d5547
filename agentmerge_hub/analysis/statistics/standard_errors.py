"""Standard errors and intervals of one mean with training runs held fixed: numpy arrays in, floats out.

Three standard errors of one mean differ in what they let vary:

- *binomial*: every episode is a draw of its own (AgentLab's number);
- *fixed tasks*: the same tasks with new seeds (inter-task claims);
- *new tasks*: new tasks from the same population (cross-task claims).

None of them includes the variation between training runs: `crossed_runs` does.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
NAN = float("nan")


def binomial_error(values: ArrayLike) -> float:
    """√(p(1 − p)/n) of 0/1 rewards, s/√n of others: what AgentLab reports. NaN without values."""
    values = np.asarray(values, float)
    n = len(values)
    if n == 0:
        return NAN
    if np.isin(values, (0.0, 1.0)).all():
        return float(np.sqrt(values.mean() * (1 - values.mean()) / n))
    return float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else NAN


def fixed_task_error(values: ArrayLike, tasks: ArrayLike, seeds: ArrayLike) -> float:
    """Standard error of the mean over the same tasks with new seeds: tasks are strata, seeds the sampling units.

    Episodes of one (task, seed) count as one unit. A task with a single seed takes the mean variance of the others;
    NaN if every task has a single seed. (Cochran, Sampling Techniques, 1977, §5.6 and §5A.12.)
    """
    values = np.asarray(values, float)
    variances, units = [], []
    for rows in groups_of(tasks):
        residuals = values[rows] - values[rows].mean()
        sums = np.array([residuals[unit].sum() for unit in groups_of(np.asarray(seeds)[rows])])
        units.append(len(sums))
        variances.append(len(sums) / (len(sums) - 1) * (sums**2).sum() if len(sums) > 1 else NAN)
    parts, counts = np.array(variances), np.array(units)
    known = ~np.isnan(parts)
    if not known.any():
        return NAN
    per_unit = parts[known].sum() / counts[known].sum()
    return float(np.sqrt(parts[known].sum() + per_unit * counts[~known].sum()) / len(values))


def new_task_error(values: ArrayLike, tasks: ArrayLike) -> float:
    """Standard error of the mean over new tasks: residuals summed by task, G/(G − 1) for G tasks. NaN for one task.

    The cluster-robust error of a regression on a constant (Liang and Zeger, 1986; CR1).
    """
    values = np.asarray(values, float)
    if len(values) == 0:
        return NAN
    residuals = values - values.mean()
    sums = np.array([residuals[rows].sum() for rows in groups_of(tasks)])
    if len(sums) < 2:
        return NAN
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def groups_of(labels: ArrayLike) -> list[NDArray[np.int_]]:
    """Row numbers of each distinct label, in the order of the sorted labels."""
    _, inverse = np.unique(np.asarray(labels), return_inverse=True)
    order = np.argsort(inverse, kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse))[:-1]) if len(order) else []
