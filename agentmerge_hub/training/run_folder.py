"""What a run's folder says from its first moment: the settings that make it this run, and what it read."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentmerge_hub import atomic_write, content_hash
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import preflight
from agentmerge_hub.training.arguments import Run

SETTINGS = "run.json"
"""What the run was asked to do, in its folder from the first moment; another run never goes on from it. `config` and
`inputs` are what makes it this run, `every_setting` holds all that TRL was given."""


def lineage(asked: Run, plan: preflight.Plan) -> dict[str, Any]:
    """Inputs, settings and figures of the run's manifest; where the model or the dataset is local, its folder is hashed."""
    local = {"model": Path(asked.model.model_name_or_path), "dataset": Path(asked.data.dataset_name)}
    if asked.own.replay_dataset:
        local["replay"] = Path(asked.own.replay_dataset)
    own = asdict(asked.own)
    del own["preflight"]
    return {
        "inputs": {role: path for role, path in local.items() if path.is_dir()},
        "config": {
            "model": asked.model.model_name_or_path,
            "dataset": asked.data.dataset_name,
            "dataset_config": asked.data.dataset_config,
            "learning_rate": asked.config.learning_rate,
            "seed": asked.config.seed,
            "epochs": asked.config.num_train_epochs,
            "max_steps": asked.config.max_steps,
            "batch": preflight.batch(asked.config),
            "lr_scheduler_type": str(getattr(asked.config.lr_scheduler_type, "value", asked.config.lr_scheduler_type)),
            "lora_r": asked.model.lora_r if asked.model.use_peft else None,
            "packing": asked.config.packing,
            "bf16": asked.config.bf16,
            "trained_parameters": plan.trained_parameters,
            **own,
        },
        "counts": {
            "parameters": plan.parameters,
            "rows": plan.rows,
            "replayed_rows": plan.replayed,
            "tokens": plan.tokens,
            "trained_tokens": plan.trained_tokens,
            "rows_sha256": plan.rows_sha256,
        },
    }


def claim(folder: Path, lineage: dict[str, Any], asked: Run) -> None:
    """Make the run's folder, or see that what stands there is the same run.

    Raises:
        UserError: if it belongs to a run with other settings, or is no run at all.
    """
    hashes = {role: content_hash.folder_hash(path) for role, path in lineage["inputs"].items()}
    asked_for = json.loads(json.dumps({"config": lineage["config"], "inputs": hashes}))
    if folder.is_dir() and any(folder.iterdir()):
        try:
            earlier = settings(folder)
        except (OSError, ValueError):
            raise UserError(f"{folder} already exists and is not a run: choose another output_dir") from None
        if {key: earlier.get(key) for key in asked_for} != asked_for:
            changed = [key for key in asked_for["config"] if earlier["config"].get(key) != asked_for["config"][key]]
            changed += [
                f"the {role}"
                for role in asked_for["inputs"]
                if earlier["inputs"].get(role) != asked_for["inputs"][role]
            ]
            raise UserError(
                f"{folder} is a run with another {', '.join(changed) or 'configuration'}: choose another output_dir or move "
                "it away"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    everything = {"data": asdict(asked.data), "config": asked.config.to_dict(), "model": asdict(asked.model)}
    asked_for["every_setting"] = everything | {"own": asdict(asked.own)}
    atomic_write.write_text(folder / SETTINGS, json.dumps(asked_for, indent=1, sort_keys=True, default=str) + "\n")


def settings(folder: Path) -> dict[str, Any]:
    """What `claim` wrote: `config`, `inputs` as role → sha256, and `every_setting`."""
    return json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
