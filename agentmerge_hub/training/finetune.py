"""A fine-tuning run from its arguments to a finished folder: everything around TRL's trainer."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from accelerate import PartialState
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTTrainer, get_peft_config, get_quantization_config

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import checkpoints, head, likelihood, preflight, rows, student
from agentmerge_hub.training.arguments import Run

SETTINGS = "run.json"
"""What the run was asked to do, in its folder from the first moment; another run never goes on from it."""


def run(asked: Run) -> None:
    """Check, train or go on training, save. See `arguments` for what can be asked.

    Raises:
        UserError: for whatever the user can mend.
    """
    started = time.time()
    folder = Path(asked.config.output_dir)
    main = PartialState().is_main_process
    tokenizer = student.load_tokenizer(asked)
    with PartialState().main_process_first():
        split = rows.load_split(asked.data.dataset_name, asked.data.dataset_config, asked.data.dataset_train_split)
        if asked.own.replay_dataset:
            replayed = rows.load_split(asked.own.replay_dataset, None, "train")
            split = rows.mix(split, replayed, asked.own.replay_ratio, asked.config.seed)
        dataset = rows.tokenize(split, tokenizer, asked.config.max_length)
    plan = preflight.plan(dataset, asked)
    if main:
        print(preflight.describe(plan, asked))
    if asked.own.preflight:
        return
    lineage = _lineage(asked, plan)
    if main:
        _claim(folder, lineage)
    PartialState().wait_for_everyone()
    if (folder / manifest.NAME).is_file():
        if main:
            print(f"{folder} is finished already; nothing to do.")
        return
    cadence = checkpoints.EverySamples(
        asked.own.checkpoint_samples, plan.rows, plan.batch, lineage, _measure(asked, tokenizer)
    )
    trainer = _trainer(asked, tokenizer, dataset, cadence)
    last = checkpoints.last_whole(folder) if main else None
    PartialState().wait_for_everyone()
    last = last or checkpoints.last_whole(folder)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    if asked.model.use_peft:
        _merge_adapter(trainer, asked, tokenizer, folder)
    else:
        trainer.save_model(asked.config.output_dir)
    if trainer.is_world_process_zero():
        checkpoints.write_manifest(folder, lineage, cadence.seen(trainer.state.global_step), trainer.state, started)
        print(f"{plan.model} fine-tuned on {plan.rows} rows for {trainer.state.global_step} steps written to {folder}")


def _trainer(asked: Run, tokenizer, dataset, cadence) -> SFTTrainer:
    config = asked.config
    config.save_strategy = "no"  # the cadence is counted in samples
    config.completion_only_loss = False  # the labels say it already
    config.max_length = config.max_length if config.packing else None  # nothing is cut: the rows were checked
    config.model_init_kwargs = {
        "revision": asked.model.model_revision,
        "attn_implementation": asked.model.attn_implementation,
        "dtype": asked.model.dtype,
    } | (config.model_init_kwargs or {})
    try:
        trainer = SFTTrainer(
            model=asked.model.model_name_or_path,
            args=config,
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=get_peft_config(asked.model),
            quantization_config=get_quantization_config(asked.model),
            callbacks=[cadence],
        )
    except OSError as error:
        raise UserError(
            f"no model at {asked.model.model_name_or_path!r}: no such folder, and not a Hub id within reach"
        ) from error
    student.freeze(trainer.model, asked.own.freeze)
    if config.device.type == "cpu":
        head.only_trained_positions(trainer.model.get_base_model() if asked.model.use_peft else trainer.model)
    return trainer


def _measure(
    asked: Run, tokenizer: PreTrainedTokenizerBase
) -> Callable[[PreTrainedModel, int, Path | None], None] | None:
    """Expert likelihood at a checkpoint; every process computes it, as a sharded model needs them all."""
    if not asked.own.likelihood_samples:
        return None
    held_out = {}
    for name in ("inter_task", "cross_task"):
        with contextlib.suppress(UserError):  # a split that came out empty is not there
            loaded = rows.load_split(asked.data.dataset_name, asked.data.dataset_config, name)
            held_out[name] = loaded.select(range(min(asked.own.likelihood_samples, len(loaded))))

    def measure(model: PreTrainedModel, seen: int, folder: Path | None) -> None:
        tables = [
            likelihood.score(model, tokenizer, split, name, samples_seen=seen) for name, split in held_out.items()
        ]
        if folder and tables:
            likelihood.write(pa.concat_tables(tables), folder / "likelihood.parquet")

    return measure


def _merge_adapter(trainer: SFTTrainer, asked: Run, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save the adapter, and beside it the whole model with the adapter added in float32, also where it was quantized."""
    trainer.save_model(str(folder / "adapter"))
    if trainer.is_world_process_zero():
        whole = AutoModelForCausalLM.from_pretrained(asked.model.model_name_or_path, dtype=torch.float32)
        merged = PeftModel.from_pretrained(whole, folder / "adapter").merge_and_unload()
        merged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _lineage(asked: Run, plan: preflight.Plan) -> dict[str, Any]:
    """Inputs and settings of the run's manifest; where the model or the dataset is local, its folder is hashed."""
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
            "trained_parameters": plan.trained_parameters,
            **own,
        },
    }


def _claim(folder: Path, lineage: dict[str, Any]) -> None:
    """Make the run's folder, or see that what stands there is the same run.

    Raises:
        UserError: if it belongs to a run with other settings, or is no run at all.
    """
    settings = json.loads(
        json.dumps(
            {"config": lineage["config"], "inputs": {k: manifest.folder_hash(p) for k, p in lineage["inputs"].items()}}
        )
    )
    if folder.is_dir() and any(folder.iterdir()):
        try:
            earlier = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{folder} already exists and is not a run: choose another output_dir") from None
        if earlier != settings:
            changed = [key for key in settings["config"] if earlier["config"].get(key) != settings["config"][key]]
            changed += [
                f"the {role}" for role in settings["inputs"] if earlier["inputs"].get(role) != settings["inputs"][role]
            ]
            raise UserError(
                f"{folder} is a run with another {', '.join(changed) or 'configuration'}: choose another output_dir or move "
                "it away"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write_text(folder / SETTINGS, json.dumps(settings, indent=1, sort_keys=True) + "\n")
