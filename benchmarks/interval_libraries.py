"""Intervals of published packages for the difference of two methods: studies (n, runs, tasks) in, half widths out.

Packages: statsmodels (MixedLM with crossed runs and tasks), rliable (stratified bootstrap), evalconfidence, evalstats. None
but statsmodels is in the lock: `pip install --target FOLDER --no-deps rliable "arch<8" absl-py evalconfidence evalstats scikit-posthocs plotext` and
PYTHONPATH. A study whose fit gives no error has an infinite interval; one that statsmodels warns of counts as it is, and
PROBLEMS counts both.
"""

import contextlib
import importlib.util
import io
import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np

Floats = np.ndarray
DRAWS = 1_000
PROBLEMS: dict[str, Counter] = {}
"""By package: studies, those with a warning, and those without an interval."""


def installed() -> dict[str, Callable[[Floats, Floats], Floats]]:
    """The packages found, each with its function."""
    found = {
        "statsmodels": ("MixedLM", mixed_model),
        "rliable": ("rliable", rliable_runs_and_tasks),
        "evalconfidence": ("evalconfidence", evalconfidence),
        "evalstats": ("evalstats", evalstats),
    }
    return {name: each(of, name) for module, (name, of) in found.items() if importlib.util.find_spec(module)}


def each(one: Callable[[Floats, Floats], tuple[float, float]], name: str) -> Callable[[Floats, Floats], Floats]:
    """Half widths, study by study, of a function that gives the interval of one."""

    counts = PROBLEMS.setdefault(name, Counter())

    def half_widths(a: Floats, b: Floats) -> Floats:
        halves = []
        for first, second in zip(a, b):
            with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("always")
                try:
                    low, high = one(first, second)
                except (np.linalg.LinAlgError, ValueError, FloatingPointError):
                    low, high = -np.inf, np.inf
            known = np.isfinite(high - low)
            halves.append((high - low) / 2 if known else np.inf)
            counts.update(studies=1, warned=bool(warned), failed=not known)
        return np.array(halves)

    return half_widths


def mixed_model(a: Floats, b: Floats) -> tuple[float, float]:
    """score ~ method with random tasks, tasks within methods, and runs within methods, by REML."""
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    runs, tasks = a.shape
    place = np.indices((2, runs, tasks)).reshape(3, -1)
    data = pd.DataFrame(place.T, columns=["method", "run", "task"]).assign(score=np.concatenate([a.ravel(), b.ravel()]))
    data["run"] += runs * data["method"]
    data["cell"] = data["task"] + tasks * data["method"]
    parts = {name: f"0 + C({name})" for name in ("task", "cell", "run")}
    fit = MixedLM.from_formula(
        "score ~ method", data, groups=np.ones(len(data)), re_formula="0", vc_formula=parts
    ).fit()
    low, high = fit.conf_int().loc["method"]
    return float(low), float(high)


def rliable_runs_and_tasks(a: Floats, b: Floats) -> tuple[float, float]:
    """Percentile interval of rliable's stratified bootstrap over runs and tasks."""
    from rliable.library import StratifiedBootstrap

    def difference(x: Floats, y: Floats) -> Floats:
        return np.array([x.mean() - y.mean()])

    bootstrap = StratifiedBootstrap(a, b, random_state=np.random.RandomState(0), task_bootstrap=True)
    low, high = bootstrap.conf_int(difference, reps=DRAWS, method="percentile").ravel()
    return float(low), float(high)


def evalconfidence(a: Floats, b: Floats) -> tuple[float, float]:
    """evalconfidence's comparison: each task is an item, each run an epoch."""
    from evalconfidence.compare import compare
    from evalconfidence.types import ItemResult

    sides = [
        [
            ItemResult(str(task), name, float(side[run, task]), run)
            for run in range(len(side))
            for task in range(side.shape[1])
        ]
        for name, side in (("a", a), ("b", b))
    ]
    low, high = compare(*sides).ci_diff
    return float(low), float(high)


def evalstats(a: Floats, b: Floats) -> tuple[float, float]:
    """evalstats' nested bootstrap: runs drawn anew within each drawn task."""
    from evalstats.core.paired import pairwise_differences

    found = pairwise_differences(np.stack([a.T, b.T]), 0, 1, n_bootstrap=DRAWS, rng=np.random.default_rng(0))
    return float(found.ci_low), float(found.ci_high)
