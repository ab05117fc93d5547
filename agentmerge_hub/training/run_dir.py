"""A run's output folder: run.json, written before the first step, says which run it belongs to and what it reads."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trl import SFTConfig

from agentmerge_hub import settings_diff
from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import atomic_write, content_hash, locks, output_folder
from agentmerge_hub.training.arguments import RunConfig
from agentmerge_hub.training.preflight.run_plan import Plan
from agentmerge_hub.training.preflight.trl_options import evaluates
from agentmerge_hub.training.prompt_settings import prompt_settings

SETTINGS = "run.json"

_NO_EFFECT = frozenset(
    {
        # logging and tracking
        "logging_strategy", "logging_steps", "logging_first_step", "logging_dir", "log_on_each_node",
        "logging_nan_inf_filter", "log_level", "log_level_replica", "disable_tqdm", "report_to", "run_name", "project",
        "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "include_num_input_tokens_seen",
        "skip_memory_metrics", "debug",
        # what is kept, and where
        "output_dir", "save_total_limit", "save_on_each_node", "preflight", "likelihood_samples", "hub_token",
        "hub_private_repo", "hub_model_id", "hub_strategy", "hub_always_push", "hub_revision",
        # what is kept for the backward pass, and what is computed again
        "activation_checkpointing", "gradient_checkpointing", "recomputed_layers",
        # how rows are loaded, not which
        "dataset_num_proc", "dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers",
        "dataloader_prefetch_factor", "dataloader_multiprocessing_context",
        # devices; the samples of a step are compared as `batch`
        "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps", "local_rank", "ddp_backend",
        "ddp_timeout", "fsdp", "fsdp_config", "deepspeed",
        "ddp_bucket_cap_mb", "ddp_find_unused_parameters", "ddp_broadcast_buffers", "ddp_static_graph", "torch_empty_cache_steps",
        # names of inputs, which are compared by content
        "model_name_or_path", "tokenizer_name_or_path", "dataset_name", "replay_dataset",
    }
)  # fmt: skip
"""Settings that do not change what is trained. Every other setting has to be equal for a run to be resumed."""


@dataclass(frozen=True)
class Lineage:
    """What a run's manifests say of where it comes from."""

    stage: str
    """The way of training, as in the manifest."""
    inputs: dict[str, Path]
    """Local folders that are read, by role."""
    hashes: dict[Path, dict[str, str]]
    """sha256 of their files, by folder and name."""
    config: dict[str, Any]
    counts: dict[str, Any]
    settings: dict[str, Any]
    """All settings, for run.json."""
    batches: dict[str, int]
    """What decides which rows a step sees, on any number of devices; and the batch of the evaluation, whose loss is a mean over
    batches."""


def lineage(
    config: RunConfig,
    plan: Plan,
    template: ChatTemplate,
    stage: str,
    method: Mapping[str, Any],
    *,
    hashed: bool = True,
) -> Lineage:
    """Settings and figures of the run's manifest.

    Args:
        config: the run's settings, as parsed.
        plan: of preflight.
        template: that the rows were rendered with.
        stage: the way of training, for the manifest.
        method: settings of the way of training; ``method`` is its name.
        hashed: hash local inputs; only the process that writes manifests needs it.
    """
    named = {"model": config.model_name, "dataset": config.dataset_name, "tokenizer": config.tokenizer_name}
    if config.options.replay_dataset:
        named["replay"] = config.options.replay_dataset
    if reference := getattr(config.sft, "reference_model", None):
        named["reference"] = reference
    if config.tokenizer_name == config.model_name:
        del named["tokenizer"]
    inputs = {role: Path(name) for role, name in named.items() if Path(name).is_dir()}
    options = asdict(config.options)
    del options["preflight"]
    sft = config.sft
    return Lineage(
        stage=stage,
        inputs=inputs,
        hashes={path: content_hash.file_hashes(path) for path in inputs.values()} if hashed else {},
        config={
            "model": config.model_name,
            "model_revision": None if "model" in inputs else config.model.model_revision,
            "tokenizer": config.tokenizer_name,
            "dataset": config.dataset_name,
            "dataset_config": config.dataset_config,
            "learning_rate": sft.learning_rate,
            "seed": sft.seed,
            "epochs": sft.num_train_epochs,
            "max_steps": sft.max_steps,
            "batch": plan.batches.batch,
            "lr_scheduler_type": str(getattr(sft.lr_scheduler_type, "value", sft.lr_scheduler_type)),
            "lora_r": config.model.lora_r if config.model.use_peft else None,
            "packing": sft.packing,
            "bf16": sft.bf16,
            "dtype": config.model.dtype,
            "trained_parameters": plan.trained_parameters,
            "chat_template": template.manifest | {"end_of_turn": template.end_of_turn},
            "prompts": prompt_settings(config, template),
            **options,
            **method,
        },
        counts={
            "parameters": plan.parameters,
            "rows": plan.rows,
            "replayed_rows": plan.replayed,
            "tokens": plan.tokens,
            "trained_tokens": plan.trained_tokens,
            "rows_sha256": plan.rows_sha256,
        },
        settings={
            "script": asdict(config.script),
            "sft": config.sft.to_dict(),
            "model": asdict(config.model),
            "options": asdict(config.options),
        },
        batches={"batch": plan.batches.batch, "items_per_epoch": plan.batches.items_per_epoch}
        | ({"rows trained twice an epoch": plan.batches.repeated} if plan.batches.repeated else {})
        | ({"per_device_eval_batch_size": sft.per_device_eval_batch_size} if evaluates(config) else {})
        | _device_batch(sft),
    )


def _device_batch(sft: SFTConfig) -> dict[str, int]:
    """Rows that group_by_length sorts together, which do not depend on the number of devices; and of KTO those whose answers
    are exchanged to estimate its KL term."""
    if getattr(sft, "method", "") == "kto":
        return {"per_device_train_batch_size": sft.per_device_train_batch_size}
    if sft.train_sampling_strategy != "group_by_length":
        return {}
    return {
        "per_device_train_batch_size x gradient_accumulation_steps": sft.per_device_train_batch_size
        * sft.gradient_accumulation_steps
    }


def check_run_dir(folder: Path) -> None:
    """Check before long work that a run can be written to, or continued in, a folder.

    Raises:
        UserError: if the folder holds something that is no run, or its parent folder cannot be written.
    """
    if not output_folder.is_free(folder):
        _earlier_settings(folder)


def _earlier_settings(folder: Path) -> dict[str, Any]:
    try:
        return read_settings(folder)
    except (OSError, ValueError):
        raise UserError(f"{folder} already exists and is not a run: choose another output_dir") from None


def open_run_dir(folder: Path, lineage: Lineage, trained: bool = True) -> None:
    """Begin a run in its folder, or check that the folder belongs to this very run. Call it with the folder locked.

    Args:
        folder: the run's output_dir.
        lineage: of the run.
        trained: whether the folder has a complete checkpoint or model; if not, a run with other settings may begin anew.

    Raises:
        UserError: if the folder belongs to a run with other settings or rows, or to no run at all.
    """
    current: dict[str, Any] = json.loads(json.dumps(_identity(lineage), default=str))
    text = json.dumps(current | {"every_setting": lineage.settings}, indent=1, sort_keys=True, default=str) + "\n"
    if locks.is_empty(folder):
        atomic_write.write_text(folder / SETTINGS, text)
        return
    earlier = _earlier_settings(folder)
    if not trained:  # refused or stopped before its first checkpoint: there is nothing to mix with
        atomic_write.write_text(folder / SETTINGS, text)
        return
    compared = {key: earlier.get(key) for key in current}
    if not all(isinstance(each, dict) for each in compared.values()):
        raise UserError(f"{folder} is a run of an earlier version: choose another output_dir or move it away")
    if changed := settings_diff.differences(_named(compared), _named(current)):
        raise UserError(
            f"{folder} is another run ({'; '.join(changed[:5])}{' …' if len(changed) > 5 else ''}): choose another output_dir or "
            "move it away"
        )


def _identity(lineage: Lineage) -> dict[str, Any]:
    """Everything that decides what a run trains: settings by option name, model and tokenizer by content, the rows."""
    settings: dict[str, Any] = {}
    for group in lineage.settings.values():
        settings |= {key: value for key, value in group.items() if key not in _NO_EFFECT}
    local = {role: path for role, path in lineage.inputs.items() if role in ("model", "tokenizer", "reference")}
    return {
        "settings": settings | lineage.batches,
        "inputs": {role: content_hash.combined_hash(lineage.hashes[path]) for role, path in local.items()},
        "rows": {
            "sha256 of the rows": lineage.counts["rows_sha256"],
            "sha256 of the chat template": lineage.config["chat_template"]["sha256"],
            "model on the Hub": None if "model" in local else lineage.config["model"],
            "tokenizer on the Hub": None if Path(lineage.config["tokenizer"]).is_dir() else lineage.config["tokenizer"],
        },
    }


def _named(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under their own names, so that a message names the option."""
    inputs = {f"sha256 of the {role}": sha for role, sha in identity["inputs"].items()}
    return {**identity["settings"], **inputs, **identity["rows"]}


def read_settings(folder: Path) -> dict[str, Any]:
    """run.json: `settings`, `inputs` and `rows`, which identify the run, and `every_setting`."""
    return json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
