"""Read results.parquet of one or more folders: one row per planned episode, checked before it is counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.analysis import labels, prompt_flags
from agentmerge_hub.analysis.candidates import Candidate, candidate_in
from agentmerge_hub.analysis.results_io import check_types, read_table
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import content_hash
from agentmerge_hub.plural import counted
from agentmerge_hub.records import ENDPOINT, RESULT_SCHEMA

FILE = "results.parquet"
SPLITS = ("inter_task", "cross_task", "validation")
"""Order of the splits in tables. Episodes of ``validation`` choose λ and checkpoint and are reported apart."""
NEEDED = ("benchmark", "task", "seed", "split", "method", "status", "reward")
STATUSES = ("done", "crashed", "missing")
UNTRAINED = ("base", "instruct")
"""Methods that are one given model: no training run of the study made them."""

SETTINGS = ("learning_rate", "samples_seen", "merge_lambda", "run_seed")
"""Settings of a training run, null where there is none."""
COUNTS = ("seed", "samples_seen", "run_seed")
"""Columns of whole numbers, without which episodes or runs have other names."""

Row = dict[str, Any]
"""One episode, keys as in RESULT_SCHEMA, and ``folder``: where its row was read."""
Key = tuple[str, int]
"""Task and seed of an episode."""


@dataclass(frozen=True)
class Results:
    """All episodes, and notes on how they were put together."""

    rows: list[Row]
    folders: tuple[Path, ...]
    notes: list[str] = field(default_factory=list)

    @property
    def benchmark(self) -> str:
        return self.rows[0]["benchmark"]

    @property
    def splits(self) -> list[str]:
        found = {row["split"] for row in self.rows}
        return [split for split in SPLITS if split in found] + sorted(found - set(SPLITS))

    def by_candidate(self, split: str | None = None) -> dict[Candidate, list[Row]]:
        """Rows by candidate, in the order of tables."""
        groups: dict[Candidate, list[Row]] = {}
        for row in self.rows:
            if split is None or row["split"] == split:
                groups.setdefault(candidate_in(row), []).append(row)
        return dict(sorted(groups.items(), key=lambda item: item[0].order))


def done(rows: list[Row]) -> list[Row]:
    """Episodes that ended and have a reward. What a model's own fault ended is done, with reward 0."""
    return [row for row in rows if row["status"] == "done"]


def key_of(row: Row) -> Key:
    return (row["task"], row["seed"])


def weights_of(row: Row) -> str | None:
    """Hash of the weights that were served; None where nothing shows which they were."""
    return None if ENDPOINT in (row["engine"] or "").split(", ") else row["weights_hash"]


def by_run(rows: Iterable[Row]) -> dict[int | None, list[Row]]:
    """Rows by training run, in the order of run seeds."""
    runs: dict[int | None, list[Row]] = {}
    for row in rows:
        runs.setdefault(row["run_seed"], []).append(row)
    return dict(sorted(runs.items(), key=lambda item: (item[0] is not None, item[0] or 0)))


def shared_runs(rows: Iterable[Row]) -> set[str]:
    """Hashes of the training runs from which several of a candidate's models were merged."""
    runs = [set((run[0].get("merged_runs") or "").split(",")) - {""} for run in by_run(rows).values()]
    return {merged for merged, models in Counter(chain.from_iterable(runs)).items() if models > 1}


def common_keys(groups: Iterable[list[Row]]) -> set[Key]:
    """The (task, seed) that every run of every group has, whatever became of the episode."""
    runs = [{key_of(row) for row in run} for rows in groups for run in by_run(rows).values()]
    return set.intersection(*runs) if runs else set()


def read(folders: list[Path], benchmark: str | None = None, validation_tasks: tuple[str, ...] = ()) -> Results:
    """Episodes of all folders together.

    Args:
        folders: outputs of `evaluate`.
        benchmark: keep this one where folders hold several.
        validation_tasks: tasks whose episodes choose λ and checkpoint instead of being reported.

    Raises:
        UserError: if a folder has no readable results, or their rewards or prompts do not belong together.
    """
    rows = [row for folder in folders for row in _read(Path(folder))]
    found = sorted({row["benchmark"] or "" for row in rows})
    if benchmark is not None:
        rows = [row for row in rows if row["benchmark"] == benchmark]
        if not rows:
            raise UserError(f"no episode of benchmark {benchmark!r}: the results hold {', '.join(found)}")
    elif len(found) > 1:
        raise UserError(
            f"the results mix {' and '.join(found)}, whose rewards don't average: choose one with --benchmark"
        )
    _check_identity(rows)
    _check_prompts(rows)
    same = _number_by_weights(rows)
    rows, notes = _without_repeats(rows)
    notes += same
    notes += [note for folder in folders if (note := _unconfirmed(Path(folder)))]
    if unknown := set(validation_tasks) - {row["task"] for row in rows}:
        raise UserError(f"--validation-task names {sorted(unknown)[0]!r}, of which there is no episode")
    for row in rows:
        if row["task"] in validation_tasks:
            row["split"] = "validation"
    if not done(rows):
        reasons = Counter(row["error_class"] or row["status"] for row in rows)
        raise UserError(
            f"none of {len(rows)} episodes was finished ({reasons.most_common(1)[0][0]}): there is nothing to average; "
            "run `agentmerge evaluate` again"
        )
    return Results(rows, tuple(Path(folder) for folder in folders), notes)


def _read(folder: Path) -> list[Row]:
    path = folder / FILE
    if not folder.exists():
        raise UserError(f"there is no folder {folder}: give folders that `agentmerge evaluate` wrote")
    if not path.is_file():
        raise UserError(f"{folder} has no {FILE}: give folders that `agentmerge evaluate` wrote")
    table = read_table(path, NEEDED, "it is not a table of `agentmerge evaluate`")
    check_types(table, RESULT_SCHEMA, path)
    if table.num_rows == 0:
        raise UserError(f"{path} has no row: the study planned no episode")
    rows = [{**dict.fromkeys(RESULT_SCHEMA.names), **_plain(row), "folder": folder} for row in table.to_pylist()]
    for row in rows:
        row["method"] = labels.canonical(row["method"] or "unnamed")
        where = f"{path}: {row['method']} on {row['task']} seed {row['seed']}"
        if not row["task"] or row["seed"] is None:
            absent = "seed" if row["task"] else "task"
            raise UserError(
                f"{where} has no {absent}, which tells episodes apart: remove the row or evaluate this study again"
            )
        for name in SETTINGS:
            if row[name] is not None and not isfinite(row[name]):
                raise UserError(f"{where} has {name} {row[name]}: evaluate this study again with a finite number")
        if row["status"] not in STATUSES:
            raise UserError(f"{where} has status {row['status']!r}: expected one of {', '.join(STATUSES)}")
        if row["status"] == "done" and (row["reward"] is None or not isfinite(row["reward"])):
            raise UserError(f"{where} is done, but its reward is {row['reward']}: score it or mark it crashed")
        if row["success"] is None and row["status"] == "done":
            row["success"] = row["reward"] > 0
        row["split"] = row["split"] or "unsplit"
        if row["method"] == "instruct":  # a given model: how it was made is no setting of this study
            row |= {"learning_rate": None, "samples_seen": None, "run_seed": None}
    return rows


def _plain(row: Row) -> Row:
    """A row as `evaluate` writes it: a table that pandas wrote can have NaN for none, and counts as decimal numbers."""
    known = {name: value for name, value in row.items() if value == value}  # NaN is not itself
    return known | {name: int(known[name]) for name in COUNTS if name in known and _is_whole(known[name])}


def _is_whole(value: float | None) -> bool:
    return value is not None and float(value).is_integer()


def _unconfirmed(folder: Path) -> str:
    """A sentence if the manifest does not confirm the results, empty otherwise."""
    if not (folder / manifest.NAME).is_file():
        return f"{folder} has no {manifest.NAME}: its study was not finished, or was copied in part, and its lineage is unknown."
    written = manifest.read(folder).get("outputs", {}).get(FILE, {}).get("sha256")
    if written != content_hash.file_hash(folder / FILE):
        return f"{folder / FILE} is not the file its manifest describes: it was changed after the study."
    return ""


DECLARED = "merge_lambda, learning_rate, samples_seen and run_seed"


def _check_identity(rows: list[Row]) -> None:
    """Refuse rows that share method and settings but come from different weights or endpoint models."""
    models: dict[tuple, Row] = {}
    for row in rows:
        first = models.setdefault((*candidate_in(row), row["run_seed"]), row)
        if _identity(first) != _identity(row):
            a, b = (
                f"{one['model'] or 'a model'}{f' ({weights[:8]})' if (weights := one['weights_hash']) else ''}"
                for one in (first, row)
            )
            why = f" with the same declared settings: declare their {DECLARED} in the recipe"
            if row["method"] == "instruct":
                why = ", which is one given model: give one of them another method in the recipe"
            raise UserError(
                f"{row['folder'] / FILE}: {a} and {b} are different models of {row['method']}{why} and evaluate again, or analyse "
                "them apart"
            )


def _identity(row: Row) -> tuple[str, str]:
    """Hash of the weights that an engine served, whatever they are called; otherwise what was declared, and the name."""
    served = weights_of(row) if row["engine"] else None
    return (served, "") if served else (row["weights_hash"] or "", row["model"] or "")


def _check_prompts(rows: list[Row]) -> None:
    """Refuse a candidate whose episodes had unlike prompts: their mean would be that of two agents."""
    groups: dict[Candidate, list[Row]] = {}
    for row in rows:
        groups.setdefault(candidate_in(row), []).append(row)
    for candidate, mine in groups.items():
        if flags := prompt_flags.unlike(mine):
            folders = " and ".join(str(folder) for folder in dict.fromkeys(row["folder"] for row in mine))
            raise UserError(
                f"{folders}: the agent {candidate.agent!r} had unlike prompts ({', '.join(flags)}) with {candidate.method}: give the two "
                "agents different names in the recipe and evaluate again, or analyse them apart"
            )


def _number_by_weights(rows: list[Row]) -> list[str]:
    """Give runs of a candidate that have the same weights one run seed, since they are one run; a note on each such run."""
    seeds: dict[tuple, dict[int | None, None]] = {}
    for row in rows:
        if weights := weights_of(row):
            alike = seeds.setdefault((candidate_in(row), weights), {})
            alike[row["run_seed"]] = None
            row["run_seed"] = next(iter(alike))
    found = {
        (labels.method(candidate.method), tuple(alike)) for (candidate, _), alike in seeds.items() if len(alike) > 1
    }
    return [
        f"The runs {' and '.join(map(str, alike))} of {name} have the same weights: they are one run."
        for name, alike in sorted(found, key=str)
    ]


def _without_repeats(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """Drop rows that describe an episode again: the same candidate, run, task and seed. A finished one is kept.

    Raises:
        UserError: if two rows of one episode have different splits, or two finished ones different rewards.
    """
    kept: dict[tuple, Row] = {}
    for row in rows:
        key = (*candidate_in(row), row["run_seed"], row["task"], row["seed"])
        old = kept.get(key)
        if old and old["split"] != row["split"]:
            raise UserError(
                f"{row['folder'] / FILE}: {row['method']} on {row['task']} seed {row['seed']} is in the splits {old['split']} and "
                f"{row['split']}: an episode has one split; analyse the studies apart, or evaluate again"
            )
        if old is None or (old["status"] != "done" and row["status"] == "done"):
            kept[key] = row
        elif old["status"] == row["status"] == "done" and old["reward"] != row["reward"]:
            if old["folder"] == row["folder"]:
                raise UserError(
                    f"{row['folder'] / FILE}: {row['method']} on {row['task']} seed {row['seed']} is there twice, with rewards "
                    f"{old['reward']:g} and {row['reward']:g}: evaluate this study again"
                )
            raise UserError(
                f"{row['method']} on {row['task']} seed {row['seed']} has reward {old['reward']:g} in {old['folder']} and "
                f"{row['reward']:g} in {row['folder']}: leave out the folder that is wrong"
            )
    notes = []
    if repeats := len(rows) - len(kept):
        notes.append(
            f"{counted(repeats, 'row describes', 'rows describe')} an episode that another row already describes; the first finished one counts."
        )
    return list(kept.values()), notes
