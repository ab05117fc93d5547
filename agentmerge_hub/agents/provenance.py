"""How a candidate's model was made, from the manifest of its folder or declared in the recipe, and what served it."""

from pathlib import Path
from typing import Any

from agentmerge_hub import manifest
from agentmerge_hub.agents.recipes.recipe import Candidate
from agentmerge_hub.agents.status.study_info import StudyInfo
from agentmerge_hub.errors import UserError
from agentmerge_hub.records import ENDPOINT

_KEYS = {"learning_rate": "learning_rate", "samples_seen": "samples_seen", "merge_lambda": "lambda", "run_seed": "seed"}
"""Columns of the results, and their keys in a manifest."""


def provenance_columns(candidate: Candidate) -> dict[str, Any]:
    """method, learning_rate, samples_seen, merge_lambda and run_seed of a candidate; None where nothing says so.

    Raises:
        UserError: if the recipe and the manifest differ.
    """
    recorded = recorded_config(Path(candidate.path)) if candidate.path else {}
    columns: dict[str, Any] = {"method": candidate.method or recorded.get("method") or candidate.name}
    for column, key in _KEYS.items():
        declared, value = getattr(candidate, column), recorded.get(key)
        if declared is not None and value is not None and declared != value:
            raise UserError(
                f"the recipe sets {column} {declared} and the manifest of {candidate.path} records {value}: remove {column} "
                "from the recipe"
            )
        columns[column] = value if declared is None else declared
    return columns


def served_columns(candidate: Candidate, info: StudyInfo) -> dict[str, str | None]:
    """Engine with its version and number format of a candidate; several, if runs of the study differ; None if not recorded."""
    formats = info.number_formats.get(candidate.path, [])
    engines = info.engines if candidate.path else [ENDPOINT] if candidate.model else []
    return {"engine": ", ".join(engines) or None, "number_format": ", ".join(formats) or None}


def recorded_config(folder: Path) -> dict[str, Any]:
    """The settings in the manifest of a model folder, for the adapter folder of a run in that of the run; empty if there is none."""
    found = manifest.of_model(folder)
    return found["config"] if found else {}
