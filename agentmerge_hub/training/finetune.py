"""A fine-tuning run from its settings to a finished folder: everything around TRL's trainer."""

import contextlib
import time
from pathlib import Path

import pyarrow as pa
import torch
from accelerate import PartialState
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedTokenizerBase
from trl import SFTTrainer

from agentmerge_hub import atomic_write, content_hash, locks, manifest, output_folder
from agentmerge_hub.chat_template import ChatTemplate
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.training import (
    built_template,
    checkpoints,
    memory_estimate,
    model_card,
    model_loading,
    preflight,
    rows,
    run_dir,
    special_tokens,
    trl_options,
)
from agentmerge_hub.training.arguments import RunConfig, check_packages
from agentmerge_hub.training.likelihood import results, scoring
from agentmerge_hub.training.save_schedule import SaveSchedule
from agentmerge_hub.training.trainer import initialize_weights, new_trainer, set_stop_token, trained_model

_ENDING_ROWS = 16
"""Rows on which the probability of the end-of-turn token is measured."""
_LIKELY = 0.5


def run(config: RunConfig) -> None:
    """Check, train or resume, save. See `arguments` for the settings.

    Raises:
        UserError: for every mistake that a user can mend, and for errors of the operating system.
    """
    with os_errors_as_sentences(), _torch_write_errors():
        _run(config)


def _run(config: RunConfig) -> None:
    started = time.time()
    check_packages(config)
    trl_options.check_options(config)
    folder, main = config.output_dir, PartialState().is_main_process
    tokenizer, template = model_loading.load_tokenizer(config)
    max_length, completion_only = config.sft.max_length, config.sft.completion_only_loss is not False
    with PartialState().main_process_first():
        split, replayed = _load_rows(config)
        dataset = rows.tokenize(split, tokenizer, template, max_length, completion_only)
        held_out = None
        if trl_options.evaluates(config):
            loaded = rows.load_split(config.dataset_name, config.dataset_config, config.script.dataset_test_split)
            held_out = rows.tokenize(loaded, tokenizer, template, max_length, completion_only)
    plan = preflight.plan(dataset, config, replayed)
    if main:
        print(preflight.describe(plan))
        for warning in filter(None, _warnings(config, plan, template)):
            print(warning)
        memory_estimate.check_disk(plan.needs, folder)
    if config.options.preflight:
        return
    schedule = SaveSchedule.of(config, plan.batches)
    lineage = run_dir.lineage(config, plan, template, hashed=main)
    output_folder.check_not_input(folder, lineage.inputs.values())
    with locks.lock_folder(folder, "train") if main else contextlib.nullcontext():
        if main:
            run_dir.open_run_dir(folder, lineage)
        PartialState().wait_for_everyone()
        if (folder / manifest.NAME).is_file():
            if main:
                print(f"{folder} is finished already; nothing to do.")
            return
        limit = config.sft.save_total_limit
        callback = checkpoints.CheckpointCallback(schedule, lineage, limit)
        trainer = new_trainer(config, tokenizer, dataset, [callback], schedule.strategy, held_out)
        callback.score = _scorer(config, tokenizer, template, trainer)
        if main:
            checkpoints.remove_incomplete(folder)
        PartialState().wait_for_everyone()
        latest = checkpoints.latest_complete(folder)
        trainer.train(resume_from_checkpoint=str(latest) if latest else None)
        _save(config, trainer, tokenizer, template, dataset, plan, schedule, lineage, started)


def _save(
    config: RunConfig,
    trainer: SFTTrainer,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate,
    dataset: Dataset,
    plan: preflight.Plan,
    schedule: SaveSchedule,
    lineage: run_dir.Lineage,
    started: float,
) -> None:
    """Write the final model, its card and, last, its manifest."""
    folder = config.output_dir
    model = trained_model(trainer)
    ending = _ending_rows(config, tokenizer, template, dataset)
    ends_turn = special_tokens.end_of_turn_probability(model, ending)
    if config.peft:
        _merge_adapter(trainer, config, tokenizer)
    else:
        set_stop_token(model, tokenizer)
        trainer.save_model(str(folder))
    if not PartialState().is_main_process:
        return
    state, seen = trainer.state, schedule.batches.samples_seen(trainer.state.global_step)
    counts = lineage.counts | {"ends_turn": ends_turn, "samples_seen": seen}
    hashes = {role: content_hash.combined_hash(lineage.hashes[path]) for role, path in lineage.inputs.items()}
    atomic_write.write_text(folder / "README.md", model_card.draft(folder.name, lineage.config, hashes, counts))
    checkpoints.write_manifest(folder, lineage, seen, state, started, ends_turn=ends_turn)
    if ends_turn < _LIKELY:
        print(
            f"Warning: after an expert's whole answer the model ends its turn with probability {ends_turn:.2f}: train longer, "
            "or copy the rows of special tokens that the base was not trained on from the instruct model (instruct_rows)"
        )
    print(f"{plan.model} fine-tuned on {plan.rows} rows for {state.global_step} steps written to {folder}")


def _warnings(config: RunConfig, plan: preflight.Plan, template: ChatTemplate) -> list[str | None]:
    return [
        built_template.compare(config, template),
        memory_estimate.memory_warning(plan.needs),
        memory_estimate.dtype_warning(config),
        memory_estimate.bfloat16_warning(config.sft, torch.backends.cpu.get_cpu_capability()),
    ]


def _load_rows(config: RunConfig) -> tuple[Dataset, int]:
    """The training split with the rows that are replayed, and the number of these."""
    split = rows.load_split(config.dataset_name, config.dataset_config, config.script.dataset_train_split)
    if not config.options.replay_dataset:
        return split, 0
    replayed = rows.load_split(config.options.replay_dataset, None, "train")
    mixed = rows.mix(split, replayed, config.options.replay_ratio, config.sft.seed)
    return mixed, len(mixed) - len(split)


def _ending_rows(
    config: RunConfig, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, trained: Dataset
) -> Dataset:
    """A few tokenized rows: held-out ones, or trained ones if there are none."""
    try:
        held_out = rows.load_split(config.dataset_name, config.dataset_config, "inter_task")
    except UserError:
        return trained.select(range(min(_ENDING_ROWS, len(trained))))
    return rows.tokenize(held_out.select(range(min(_ENDING_ROWS, len(held_out)))), tokenizer, template, None)


def _scorer(
    config: RunConfig, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, trainer: SFTTrainer
) -> checkpoints.Scorer | None:
    """Expert likelihood of a checkpoint, in the precision of training."""
    if not config.options.likelihood_samples:
        return None
    held_out = {}
    for name in ("inter_task", "cross_task"):
        with contextlib.suppress(UserError):  # a split may be missing
            loaded = rows.load_split(config.dataset_name, config.dataset_config, name)
            held_out[name] = loaded.select(range(min(config.options.likelihood_samples, len(loaded))))

    def score(model: torch.nn.Module, seen: int, folder: Path | None) -> None:
        with trainer.accelerator.autocast():
            tables = [
                scoring.score(model, tokenizer, template, split, name, samples_seen=seen)
                for name, split in held_out.items()
            ]
        if folder and tables:
            results.write(pa.concat_tables(tables), folder / "likelihood.parquet")

    return score


def _merge_adapter(trainer: SFTTrainer, config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Save the adapter, and beside it the whole model with the adapter merged in float32, also if the base was quantized."""
    folder = config.output_dir
    trainer.save_model(str(folder / "adapter"))
    if trainer.is_world_process_zero():
        base = model_loading.load_model(config.model_name, config.model.model_revision)
        initialize_weights(base, tokenizer, config)
        merged = PeftModel.from_pretrained(base, folder / "adapter").merge_and_unload()
        set_stop_token(merged, tokenizer)
        merged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _torch_write_errors():
    """torch.save reports a full disk as a RuntimeError without the system's error number."""
    try:
        yield
    except RuntimeError as error:
        if "PytorchStreamWriter" not in str(error) and "file write failed" not in str(error):
            raise
        raise UserError(
            "a checkpoint could not be written: the disk is full, or the file is larger than the limit (`ulimit -f`); make room and "
            "run the same command again"
        ) from error
