"""Results as records of Every Eval Ever (schema 0.3.0, evalevalai.com): one JSON file for each model that was scored.

Inputs: the episodes of a report. Outputs: data/BENCHMARK/ORGANIZATION/MODEL/UUID.json, the layout of its datastore. A record
holds means, errors and counts of each split, never a trace, a path or a prompt.
"""

import hashlib
import json
import re
import uuid
from pathlib import Path
from typing import Any

from agentmerge_hub import __version__
from agentmerge_hub.analysis import labels, tables
from agentmerge_hub.analysis.candidates import Candidate
from agentmerge_hub.analysis.episodes import UNTRAINED, Results, Row, by_run, done, weights_of
from agentmerge_hub.errors import UserError

SCHEMA = "0.3.0"
RESERVED = re.compile(r"(?i)(data|con|prn|aux|nul|com\d|lpt\d)(\..*)?")
"""File names that the datastore, or a file system, does not take."""


def write(folder: Path, results: Results, organization: str, created: float) -> int:
    """Write one record for each training run of each candidate; returns how many. The given models (base, instruct) have none:
    a record names its model's developer, and results do not say who that is.

    Args:
        organization: that ran the evaluation and publishes the models.
        created: Unix time of the records.

    Raises:
        UserError: if the organization is no name of a folder.
    """
    if organization != _name(organization):
        raise UserError(
            f"--eee {organization!r} is not a name: use letters, digits, '.', '_' and '-', as on the Hugging Face Hub"
        )
    written = 0
    for candidate, episodes in results.by_candidate().items():
        for seed, run in by_run(episodes).items():
            if candidate.method in UNTRAINED or not done(run):
                continue
            content = record(candidate, seed, run, results.benchmark, organization, created)
            digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
            place = folder / "data" / _name(results.benchmark) / content["model_info"]["id"]
            place.mkdir(parents=True, exist_ok=True)
            file = place / f"{uuid.UUID(bytes=digest[:16], version=4)}.json"
            file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            written += 1
    return written


def record(
    candidate: Candidate, run_seed: int | None, rows: list[Row], benchmark: str, organization: str, created: float
) -> dict[str, Any]:
    """The record of one model: rows are its episodes, finished or lost, in all splits."""
    settings = {**candidate._asdict(), "run_seed": run_seed, "weights_hash": weights_of(rows[0])}
    details = {name: str(value) for name, value in settings.items() if value not in (None, "")}
    short = [
        labels.plain(candidate.learning_rate),
        candidate.samples_seen,
        labels.plain(candidate.merge_lambda),
        run_seed,
    ]
    letters = ("lr", "samples", "lambda", "seed")
    parts = [
        candidate.method,
        *(f"{letter}{value}" for letter, value in zip(letters, short) if value not in (None, "")),
    ]
    model = f"{organization}/{_name('-'.join(parts))}"
    splits = [
        (split, [row for row in rows if row["split"] == split]) for split in dict.fromkeys(r["split"] for r in rows)
    ]
    return {
        "schema_version": SCHEMA,
        "evaluation_id": "/".join([benchmark, model, *([candidate.agent] if candidate.agent else []), f"{created:.0f}"]),
        "retrieved_timestamp": f"{created:.0f}",
        "source_metadata": {
            "source_name": "agentmerge analyse",
            "source_type": "evaluation_run",
            "source_organization_name": organization,
            "evaluator_relationship": "first_party",
        },
        "eval_library": {"name": "agentmerge_hub", "version": __version__},
        "model_info": {
            "name": labels.method(candidate.method),
            "id": model,
            "developer": organization,
            "additional_details": {"deployment_type": "unknown", "model_availability": "unknown", **details},
        },
        "evaluation_results": [
            _result(benchmark, split, episodes) for split, episodes in splits if done(episodes)
        ],
    }  # fmt: skip


def _result(benchmark: str, split: str, rows: list[Row]) -> dict[str, Any]:
    """Mean reward of one split with its standard error, and what was lost."""
    found = tables.scores(rows, split)
    rewards = [row["reward"] for row in done(rows)]
    uncertainty: dict[str, Any] = {"num_samples": found["n"]}
    if found.get("se") is not None:
        uncertainty["standard_error"] = {"value": found["se"], "method": "analytic"}
    counts = {name: str(found[name]) for name in ("planned", "crashed", "missing", "tasks")}
    return {
        "evaluation_result_id": f"{benchmark}/{split}/mean_reward",
        "evaluation_name": f"{benchmark} {labels.split(split)}",
        "source_data": {"dataset_name": benchmark, "source_type": "other", "additional_details": {"split": split}},
        "metric_config": {
            "evaluation_description": "Mean reward of the finished episodes; a failure that the model causes scores 0.",
            "metric_id": "mean_reward",
            "metric_name": "mean reward",
            "metric_unit": "proportion" if min(rewards) >= 0 and max(rewards) <= 1 else "reward",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": min(0.0, *rewards),
            "max_score": max(1.0, *rewards),
        },
        "score_details": {"score": found["reward"], "details": counts, "uncertainty": uncertainty},
    }


def _name(text: str) -> str:
    """The text as a portable name of a folder."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-. ") or "unnamed"
    return f"{plain}-" if RESERVED.fullmatch(plain) else plain
