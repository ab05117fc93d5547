"""Result tables with known truth, in the schema that `agentmerge evaluate` writes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from agentmerge_hub import manifest
from agentmerge_hub.records import RESULT_SCHEMA

CATEGORIES = ("form", "list", "navigation")


def episode(**values) -> dict:
    """A finished episode; every column filled, those named replaced."""
    row = dict.fromkeys(RESULT_SCHEMA.names)
    row |= {
        "benchmark": "miniwob",
        "task": "miniwob.click-button",
        "category": "form",
        "seed": 1000,
        "split": "cross_task",
        "method": "instruct",
        "model": "models/instruct",
        "agent": "advanced",
        "status": "done",
        "reward": 0.0,
        "steps": 3,
        "answers": 3,
        "think_answers": 3,
        "parse_retries": 0,
        "copied_example_actions": 0,
        "copied_example_off_page": 0,
        "copied_example_first_step": False,
        "invalid_bid_actions": 0,
        "truncated": False,
        "seconds": 4.0,
    }
    row |= values
    if row["status"] != "done":
        row |= {"reward": None, "success": None}
    elif row["success"] is None:
        row["success"] = row["reward"] > 0
    return row


def study(
    methods: dict[str, float],
    *,
    splits: dict[str, int] | None = None,
    seeds: int = 5,
    lost: float = 0.0,
    rng: int = 0,
    luck: int | None = None,
    spread: float = 1.5,
    shift: float = 0.6,
    **values,
) -> list[dict]:
    """Episodes of several methods on the same tasks and seeds.

    Args:
        methods: logit of the success rate of each method on a middling task.
        splits: number of tasks by split.
        seeds: seeds by task.
        lost: share of episodes that crashed or went missing.
        rng: seed of the tasks' difficulty, and of everything else unless `luck` is given.
        luck: seed of what happens in the episodes: studies that share `rng` have the same tasks.
        spread: standard deviation of the tasks' difficulty, in logits, shared by the methods.
        shift: standard deviation of each method's own difficulty by task, in logits.
        values: columns that are the same in every row.
    """
    random = np.random.default_rng(rng)
    chances = np.random.default_rng(rng + 1 if luck is None else luck)
    rows = []
    for split, tasks in (splits or {"inter_task": 6, "cross_task": 6}).items():
        for t in range(tasks):
            hard = random.normal(0, spread)
            own = {method: chances.normal(0, shift) for method in methods}
            for s in range(seeds):
                shared = chances.uniform()
                for method, logit in methods.items():
                    chance = 1 / (1 + np.exp(-(logit + hard + own[method])))
                    mixed = shared if chances.uniform() < 0.5 else chances.uniform()
                    status = chances.choice(["crashed", "missing"]) if chances.uniform() < lost else "done"
                    rows.append(
                        episode(
                            split=split,
                            task=f"miniwob.{split.replace('_', '-')}-{t}",
                            category=CATEGORIES[t % 3],
                            seed=1000 + s,
                            method=method,
                            status=str(status),
                            reward=float(mixed < chance),
                            error_class="TimeoutError" if status == "crashed" else None,
                            **values,
                        )
                    )
    return rows


def write(folder: Path, rows: list[dict], inputs: dict[str, Path] | None = None, started: float | None = None) -> Path:
    """A results folder as `agentmerge evaluate` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=RESULT_SCHEMA), folder / "results.parquet")
    manifest.write(folder, "evaluate", inputs=inputs, started=started)
    return folder
