"""results.parquet → the scores of one model, with n and standard errors, for its card."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub import manifest
from agentmerge_hub.analysis import statistics
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash
from agentmerge_hub.records import ENDPOINT, RESULT_SCHEMA

NEW_TASKS = "cross_task"
"""The split that measures unseen tasks; its standard error is clustered by task."""


@dataclass(frozen=True)
class Score:
    """Success of one model as one agent on one split of one benchmark, with one engine and number format."""

    benchmark: str
    split: str
    agent: str
    success: float
    standard_error: float
    """Over new tasks for cross_task, over new seeds of the same tasks elsewhere; NaN if undefined, e.g. if all
    episodes have the same outcome."""
    n: int
    """Episodes that ended and count."""
    tasks: int
    crashed: int
    missing: int
    engine: str = ""
    """What served it, with its version; empty if that was not recorded."""
    number_format: str = ""
    """That its weights were computed in; empty if that was not recorded."""

    @property
    def error_is_over(self) -> str:
        return "new tasks" if self.split == NEW_TASKS else "new seeds of these tasks"

    @property
    def rounded_success(self) -> float:
        """The success as published."""
        return round(self.success, 4)

    @property
    def facts(self) -> dict[str, Any]:
        """What is published with the success: the counts, and the standard error where it is defined."""
        counts: dict[str, Any] = {"n": self.n, "tasks": self.tasks, "crashed": self.crashed, "missing": self.missing}
        counts |= {"engine": self.engine} if self.engine else {}
        counts |= {"number_format": self.number_format} if self.number_format else {}
        if math.isnan(self.standard_error):
            return counts
        error = round(self.standard_error, 4)
        return {**counts, "standard_error": error, "standard_error_over": self.error_is_over}


_LATER_COLUMNS = ("endpoint_model", "engine", "number_format", "merged_runs", "answered_as")
"""Results that were written before these columns existed are read as well."""


def scores_of(folder: Path, hashes: Mapping[str, str]) -> list[Score]:
    """Scores of a model in a folder of `agentmerge evaluate`.

    Args:
        hashes: hashes that an evaluation records for the model → the number format of the file that has this hash, where that
            decides it; empty for the model folder itself.

    Raises:
        UserError: if the folder holds no finished results, or none of this model that agentmerge served.
    """
    path = folder / "results.parquet"
    written = manifest.read(folder)["outputs"].get(path.name)
    try:
        table = pq.read_table(path)
        for name in set(_LATER_COLUMNS) - set(table.column_names):
            table = table.append_column(name, pa.nulls(len(table), pa.string()))
        rows = table.select(RESULT_SCHEMA.names).cast(RESULT_SCHEMA).to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{folder} has no readable results.parquet: name a folder of `agentmerge evaluate`.") from error
    if written is None or content_hash.file_hash(path) != written["sha256"]:
        raise UserError(f"{path} was changed after the evaluation: evaluate again, or restore the file.")
    claimed = [row for row in rows if row["weights_hash"] in hashes]
    mine = [row for row in claimed if ENDPOINT not in (row["engine"] or "").split(", ")]
    if claimed and not mine:
        raise UserError(
            f"{folder} has episodes of these weights only from an endpoint, where nothing shows which weights were served: "
            "evaluate the folder with `path` and without `endpoint`, or leave --results out."
        )
    if not mine:
        measured = sorted({row["model"] or row["method"] or "?" for row in rows})
        raise UserError(
            f"{folder} has no episodes of these weights (it holds {', '.join(measured) or 'none'}): "
            "evaluate this model, or leave --results out."
        )
    groups: dict[tuple[str, str, str, str, str], list[dict[str, Any]]] = {}
    for row in _each_episode_once(mine, folder):
        computed_in = hashes[row["weights_hash"]] or row["number_format"] or ""
        key = (row["benchmark"], row["split"], row["agent"] or "", row["engine"] or "", computed_in)
        groups.setdefault(key, []).append(row)
    return [
        _score(benchmark, split, agent, rows, engine, computed_in)
        for (benchmark, split, agent, engine, computed_in), rows in sorted(groups.items())
    ]


def _each_episode_once(rows: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Rows of one trace under several names of a model count once.

    Raises:
        UserError: if a (task, seed) has several traces: the same weights were evaluated with unlike settings.
    """
    kept: dict[tuple, dict[str, Any]] = {}
    for row in rows:
        columns = ("benchmark", "split", "agent", "engine", "number_format", "weights_hash", "task", "seed")
        first = kept.setdefault(tuple(row[name] for name in columns), row)
        if first["trace"] != row["trace"]:
            raise UserError(
                f"{folder} has two episodes of these weights on {row['task']} seed {row['seed']} ({first['model']} and {row['model']}), "
                "made with unlike settings: evaluate the one to publish in a folder of its own."
            )
    return list(kept.values())


def evaluated_at(folder: Path) -> str:
    """When the evaluation of a folder of `agentmerge evaluate` ended, ISO-8601."""
    return str(manifest.read(folder)["run"]["finished"])


def _score(
    benchmark: str, split: str, agent: str, rows: Sequence[dict[str, Any]], engine: str, number_format: str
) -> Score:
    done = [row for row in rows if row["status"] == "done"]
    values = [float(row["success"]) for row in done]
    tasks = [row["task"] for row in done]
    if len(set(values)) < 2:
        error = float("nan")
    elif split == NEW_TASKS:
        error = statistics.new_task_error(values, tasks)
    else:
        error = statistics.fixed_task_error(values, tasks, [row["seed"] for row in done])
    return Score(
        benchmark,
        split,
        agent,
        success=sum(values) / len(values) if values else float("nan"),
        standard_error=error,
        n=len(done),
        tasks=len(set(tasks)),
        crashed=sum(row["status"] == "crashed" for row in rows),
        missing=sum(row["status"] == "missing" for row in rows),
        engine=engine,
        number_format=number_format,
    )
