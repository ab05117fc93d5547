"""Likelihood of the expert's held-out answers under a model: samples in, a row for each checkpoint and split out.

`agentmerge likelihood MODEL -o FILE` writes a row for each sample. The model's method, learning rate and checkpoint are looked
up in the results by its name.
"""

import csv
from math import exp
from pathlib import Path

import numpy as np

from agentmerge_hub.analysis import statistics
from agentmerge_hub.analysis.episodes import Row
from agentmerge_hub.analysis.results_io import read_table
from agentmerge_hub.errors import UserError

NEEDED = ("split", "sample_id", "mean_logprob")
"""``mean_logprob`` is the mean log-probability of the answer's tokens under the model, in nats."""

KEYS = ("method", "learning_rate", "samples_seen", "merge_lambda", "split")
SETTINGS = ("method", "learning_rate", "merge_lambda")
"""Columns of a model that are looked up in the results by its name."""
SHARES = ("greedy_match", "greedy_action_match")


def summarise(words: tuple[str, ...], episodes: list[Row]) -> list[dict]:
    """Mean log-probability with its standard error, and its exponential: the geometric-mean token probability.

    The error is over tasks where the samples name theirs, else over samples, however many training runs scored each. Spans
    (``think_logprob`` and so on) and greedy matches are averaged too. Training runs are pooled.

    Args:
        words: ``MODEL=FILE`` with a model of the results, FILE alone if it is named after the model, or likelihood.csv of
            an earlier report, whose rows are taken as they are.
        episodes: rows of the results.

    Raises:
        UserError: if a file cannot be read, a column is missing, the results have no such model, or its samples are given twice.
    """
    groups: dict[tuple, list[dict]] = {}
    summaries: list[dict] = []
    samples: dict[str, set[tuple]] = {}
    for word in words:
        name, path = parse(word)
        if path.suffix == ".csv":
            summaries += _read_summary(path)
            continue
        known = _known(name, episodes)
        rows = _read(path)
        if samples.setdefault(name, set()) & (mine := {(row["split"], row["sample_id"]) for row in rows}):
            raise UserError(f"--likelihood {word}: these samples of {name!r} are given already: name each file once")
        samples[name] |= mine
        for row in rows:
            row |= {key: known[key] for key in SETTINGS}
            if row.get("samples_seen") is None:
                row["samples_seen"] = known["samples_seen"]
            groups.setdefault(tuple(row[key] for key in KEYS), []).append(row)
    ordered = sorted(groups.items(), key=lambda item: [(value is not None, value or 0) for value in item[0][1:4]])
    return [_summary(key, members) for key, members in ordered] + summaries


def parse(word: str) -> tuple[str, Path]:
    """``MODEL=FILE``, or FILE alone, as model and file."""
    name, equals, path = word.partition("=")
    return (name, Path(path)) if equals else (Path(word).stem, Path(word))


def _read_summary(path: Path) -> list[dict]:
    """Rows of a report's likelihood.csv."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            {key: value if key in ("method", "split") else _number(key, value) for key, value in row.items()}
            for row in rows
        ]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not the likelihood.csv of a report: {str(error).splitlines()[0]}") from error


def _number(name: str, value: str) -> float | int | None:
    return None if value == "" else int(value) if name in ("samples", "samples_seen") else float(value)


def _known(name: str, episodes: list[Row]) -> Row:
    known = {tuple(row[key] for key in SETTINGS): row for row in episodes if row["model"] == name}
    if len(known) > 1:
        a, b = (", ".join(f"{key} {value}" for key, value in zip(SETTINGS, one)) for one in list(known)[:2])
        raise UserError(
            f"--likelihood names the model {name!r}, which is several in the results ({a}; {b}): give them names of their own in the "
            "recipes, or analyse their results apart"
        )
    if known:
        return next(iter(known.values()))
    models = ", ".join(sorted({row["model"] or "" for row in episodes}))
    raise UserError(
        f"--likelihood names the model {name!r}, the results hold {models}: give MODEL=FILE with one of these"
    )


def _read(path: Path) -> list[dict]:
    if not path.is_file():
        raise UserError(f"no file {path}: --likelihood takes what `agentmerge likelihood` wrote")
    table = read_table(path, NEEDED, "it is not what `agentmerge likelihood` writes")
    return table.to_pylist()


def _summary(key: tuple, rows: list[dict]) -> dict:
    scored = [row for row in rows if row["mean_logprob"] is not None]
    values = np.array([row["mean_logprob"] for row in scored], float)
    column = "task" if all(row.get("task") for row in scored) else "sample_id"
    error = statistics.new_task_error(values, [row[column] for row in scored])
    out = {**dict(zip(KEYS, key)), "samples": len(values), "se": None if np.isnan(error) else error}
    out["mean_logprob"] = _mean(rows, "mean_logprob")
    mean, se = out["mean_logprob"], out["se"]
    out["likelihood"] = None if mean is None else exp(mean)
    for name, sign in (("likelihood_low", -1), ("likelihood_high", 1)):
        out[name] = None if mean is None or se is None else exp(mean + sign * se)
    spans = sorted({name for row in rows for name in row if name.endswith("_logprob") and name != "mean_logprob"})
    return out | {name: _mean(rows, name) for name in (*spans, *SHARES) if name in rows[0]}


def _mean(rows: list[dict], name: str) -> float | None:
    found = [row[name] for row in rows if row.get(name) is not None]
    return float(np.mean(found)) if found else None
