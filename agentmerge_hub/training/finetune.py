"""A fine-tuning run from its arguments to a finished folder: everything around TRL's trainer."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import torch
from accelerate import PartialState
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTTrainer

from agentmerge_hub import atomic_write, manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import (
    capacity,
    card,
    checkpoints,
    likelihood,
    preflight,
    rows,
    run_folder,
    special_tokens,
    student,
)
from agentmerge_hub.training.arguments import Run, check_packages
from agentmerge_hub.training.trainer import begin, new_trainer

_ASKED_TO_END = 16
"""Rows on which a finished model is asked whether it ends its turn."""
_LIKELY = 0.5


def run(asked: Run) -> None:
    """Check, train or go on training, save. See `arguments` for what can be asked.

    Raises:
        UserError: for whatever the user can mend.
    """
    started = time.time()
    check_packages(asked)
    folder = Path(asked.config.output_dir)
    main = PartialState().is_main_process
    tokenizer = student.load_tokenizer(asked)
    with PartialState().main_process_first():
        split, replayed = _rows(asked)
        dataset = rows.tokenize(split, tokenizer, asked.config.max_length)
    plan = preflight.plan(dataset, asked, replayed)
    if main:
        print(preflight.describe(plan))
        slow = capacity.slow_bfloat16(asked.config, torch.backends.cpu.get_cpu_capability())
        for warning in filter(None, (capacity.too_little_memory(plan.needs), slow)):
            print(warning)
        capacity.check_disk(plan.needs, folder)
    if asked.own.preflight:
        return
    lineage = run_folder.lineage(asked, plan)
    if main:
        run_folder.claim(folder, lineage, asked)
    PartialState().wait_for_everyone()
    if (folder / manifest.NAME).is_file():
        if main:
            print(f"{folder} is finished already; nothing to do.")
        return
    cadence = checkpoints.EverySamples(asked.own.checkpoint_samples, plan, lineage, _measure(asked, tokenizer))
    trainer = new_trainer(asked, tokenizer, dataset, [cadence])
    last = checkpoints.last_whole(folder) if main else None
    PartialState().wait_for_everyone()
    last = last or checkpoints.last_whole(folder)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    ends = special_tokens.ends_turn(trainer.model, tokenizer, _asked_to_end(asked, tokenizer, dataset))
    if asked.model.use_peft:
        _merge_adapter(trainer, asked, tokenizer, folder)
    else:
        trainer.save_model(asked.config.output_dir)
    if main:
        state, seen = trainer.state, cadence.seen(trainer.state.global_step)
        counts = lineage["counts"] | {"ends_turn": ends, "samples_seen": seen}
        atomic_write.write_text(folder / "README.md", card.draft(folder.name, run_folder.settings(folder), counts))
        checkpoints.write_manifest(folder, lineage, seen, state, started, ends_turn=ends)
        if ends < _LIKELY:
            print(
                f"Warning: after an expert's whole answer the model ends its turn with probability {ends:.2f}: train longer, "
                "or begin special tokens that the base has not been trained on as the instruct model's (instruct_rows)"
            )
        print(f"{plan.model} fine-tuned on {plan.rows} rows for {state.global_step} steps written to {folder}")


def _rows(asked: Run) -> tuple[Dataset, int]:
    """The training split, with what is to be replayed, and how many rows that is."""
    split = rows.load_split(asked.data.dataset_name, asked.data.dataset_config, asked.data.dataset_train_split)
    if not asked.own.replay_dataset:
        return split, 0
    replayed = rows.load_split(asked.own.replay_dataset, None, "train")
    mixed = rows.mix(split, replayed, asked.own.replay_ratio, asked.config.seed)
    return mixed, len(mixed) - len(split)


def _asked_to_end(asked: Run, tokenizer: PreTrainedTokenizerBase, trained: Dataset) -> Dataset:
    """A few tokenized rows: held-out ones, or trained ones where there are none."""
    try:
        held_out = rows.load_split(asked.data.dataset_name, asked.data.dataset_config, "inter_task")
    except UserError:
        return trained.select(range(min(_ASKED_TO_END, len(trained))))
    return rows.tokenize(held_out.select(range(min(_ASKED_TO_END, len(held_out)))), tokenizer, None)


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
        begin(whole, tokenizer, asked)
        merged = PeftModel.from_pretrained(whole, folder / "adapter").merge_and_unload()
        merged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
