"""How a candidate's model was made, from the manifest of its folder or declared in the recipe, and what served it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.agents.recipes.recipe import Candidate
from agentmerge_hub.agents.status.study_info import StudyInfo
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import ENDPOINT

_KEYS = {"learning_rate": "learning_rate", "samples_seen": "samples_seen", "merge_lambda": "lambda", "run_seed": "seed"}
"""Columns of the results, and their keys in a manifest."""
GIVEN = ("base", "instruct")
"""Roles of merge inputs that are given models."""


def provenance_columns(candidate: Candidate) -> dict[str, Any]:
    """method, learning_rate, samples_seen, merge_lambda, run_seed and merged_runs of a candidate; None where nothing says so.

    Raises:
        UserError: if the recipe and the manifest differ.
    """
    made = manifest.of_model(Path(candidate.path)) if candidate.path else None
    recorded = made["config"] if made else {}
    columns: dict[str, Any] = {"method": candidate.method or recorded.get("method") or candidate.name}
    for column, key in _KEYS.items():
        declared, value = getattr(candidate, column), recorded.get(key)
        if declared is not None and value is not None and declared != value:
            raise UserError(
                f"the recipe sets {column} {declared} and the manifest of {candidate.path} records {value}: remove {column} "
                "from the recipe"
            )
        columns[column] = value if declared is None else declared
    runs = merged_runs(made["inputs"]) if made and made["stage"] not in manifest.TRAINED else set()
    return columns | {"merged_runs": ",".join(sorted(runs)) or None}


def merged_runs(inputs: Mapping[str, Any]) -> set[str]:
    """Hashes of the training runs among a merge's inputs and those of merges among them. The base and instruct models are given:
    all merges of a study may share them, however they were made."""
    found: set[str] = set()
    for role, entry in inputs.items():
        if role not in GIVEN and not role.endswith("_base"):
            is_run = entry.get("stage") in manifest.TRAINED
            found |= {entry["sha256"]} if is_run else merged_runs(entry.get("inputs") or {})
    return found


def served_columns(candidate: Candidate, info: StudyInfo) -> dict[str, str | None]:
    """Engine with its version and number format of a candidate; several, if runs of the study differ; None if not recorded."""
    formats = info.number_formats.get(candidate.path, [])
    engines = info.engines if candidate.path else [ENDPOINT] if candidate.model else []
    return {"engine": ", ".join(engines) or None, "number_format": ", ".join(formats) or None}


def recorded_config(folder: Path) -> dict[str, Any]:
    """The settings in the manifest of a model folder, for the adapter folder of a run in that of the run; empty if there is none."""
    found = manifest.of_model(folder)
    return found["config"] if found else {}
