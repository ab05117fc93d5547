"""How likely a model finds the expert's held-out answers: samples in, a row for each checkpoint and split out."""

from math import exp
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub.analysis import statistics
from agentmerge_hub.errors import UserError

NEEDED = ("split", "sample_id", "logprob")
"""``logprob`` is the mean log-probability of the answer's tokens under the model, in nats."""

KEYS = ("method", "learning_rate", "samples_seen", "split")


def summarise(paths: list[Path]) -> list[dict]:
    """Mean log-probability with its standard error, and its exponential: the geometric-mean token probability.

    The error is over tasks where the samples name theirs, else over samples. Spans (columns ``logprob_think``,
    ``logprob_action`` and so on) are averaged too. Training runs are pooled.

    Raises:
        UserError: if a file can't be read or a column is missing.
    """
    rows = [row for path in paths for row in _read(path)]
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in KEYS), []).append(row)
    return [
        _summary(key, members) for key, members in sorted(groups.items(), key=lambda item: [str(k) for k in item[0]])
    ]


def _summary(key: tuple, rows: list[dict]) -> dict:
    values = np.array([row["logprob"] for row in rows if row["logprob"] is not None], float)
    mean = float(values.mean()) if len(values) else None
    tasks = [row["task"] for row in rows if row["logprob"] is not None and row.get("task")]
    error = statistics.new_task_error(values, tasks) if len(tasks) == len(values) else statistics.binomial_error(values)
    spans = sorted({name for row in rows for name in row if name.startswith("logprob_")})
    out = {**dict(zip(KEYS, key)), "samples": len(values), "logprob": mean, "se": None if np.isnan(error) else error}
    ends = (0.0, -(out["se"] or 0.0), out["se"] or 0.0)
    out |= {
        name: exp(mean + end) if mean is not None else None
        for name, end in zip(("likelihood", "likelihood_low", "likelihood_high"), ends)
    }
    for span in spans:
        found = [row[span] for row in rows if row.get(span) is not None]
        out[span] = float(np.mean(found)) if found else None
    return out


def _read(path: Path) -> list[dict]:
    files = sorted(path.rglob("*likelihood*.parquet")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path} has no likelihood Parquet file: give what scoring the expert's answers wrote")
    rows = []
    for file in files:
        try:
            table = pq.read_table(file)
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file} is not readable Parquet: {str(error).splitlines()[0]}") from error
        if absent := [name for name in NEEDED if name not in table.column_names]:
            raise UserError(f"{file} has no column {absent[0]!r}: expected {', '.join(NEEDED)} by sample")
        rows += [{**dict.fromkeys(KEYS), **row} for row in table.to_pylist()]
    return rows
