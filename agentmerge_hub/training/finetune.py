"""A fine-tuning run from its settings to a finished folder: everything around TRL's trainer."""

import contextlib
import os
import time
from pathlib import Path

import pyarrow as pa
import torch
from accelerate import PartialState
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedTokenizerBase, Trainer

from agentmerge_hub import manifest
from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.errors import UserError, os_errors_as_sentences
from agentmerge_hub.files import atomic_write, content_hash, locks, output_folder
from agentmerge_hub.plural import counted
from agentmerge_hub.training import (
    checkpoints,
    divergence,
    lora_targets,
    model_card,
    model_loading,
    rows,
    run_dir,
    special_tokens,
)
from agentmerge_hub.training.arguments import RunConfig, check_packages
from agentmerge_hub.training.likelihood import results, scoring
from agentmerge_hub.training.method import Method
from agentmerge_hub.training.preflight import built_template, memory_estimate, run_plan, stored_weights, trl_options
from agentmerge_hub.training.preflight.save_schedule import SaveSchedule
from agentmerge_hub.training.preflight.token_counts import largest_id, row_lengths
from agentmerge_hub.training.trainer import initialize_weights, new_trainer, set_stop_token, trained_model

_ENDING_ROWS = 16
"""Rows on which the probability of the end-of-turn token is measured."""
_LIKELY = 0.5


def run(config: RunConfig, method: Method | None = None) -> None:
    """Check, train or resume, save. See `arguments` for the settings.

    Args:
        config: the run's settings.
        method: the way of training; supervised fine-tuning if None.

    Raises:
        UserError: for every mistake that a user can mend, and for errors of the operating system.
    """
    with os_errors_as_sentences(), _unknown_loss_as_sentence():
        _run(config, method or SFT)


def _run(config: RunConfig, method: Method) -> None:
    started = time.time()
    check_packages(config)
    trl_options.check_options(config)
    if not _is_connected():
        if not config.options.preflight:
            raise UserError(
                f"{os.environ['WORLD_SIZE']} processes were launched without a GPU for each, so that they cannot train together: "
                "launch fewer with --num_processes, or use recipes/accelerate/cpu.yaml"
            )
        if os.environ.get("RANK", "0") != "0":  # one plan is enough
            return
    folder, main = config.output_dir, PartialState().is_main_process
    run_dir.check_run_dir(folder)
    tokenizer, template = model_loading.load_tokenizer(config)
    with PartialState().main_process_first():
        split, replayed = _load_rows(config, method)
        dataset = method.tokenize(split, tokenizer, template, config)
        held_out = None
        if trl_options.evaluates(config):
            held_out = method.tokenize(
                _load(config, method, config.script.dataset_test_split), tokenizer, template, config
            )
        ending = _ending_rows(config, method, tokenizer, template, split)
        scored = _likelihood_rows(config, method, tokenizer, template)
    extents = [(int(row_lengths(each).max()), largest_id(each)) for each in (ending, *scored)]
    if held_out:
        extents.append((method.longest(held_out), largest_id(held_out)))
    plan = run_plan.make_plan(
        dataset, config, replayed, method.longest(dataset), extents, int(tokenizer.pad_token_id or 0)
    )
    if main:
        print(run_plan.describe(plan))
        for line in (*method.notes(config, dataset), *filter(None, _warnings(config, plan, template))):
            print(line)
        if config.options.likelihood_samples and not scored:
            print(
                f"Warning: likelihood_samples is {config.options.likelihood_samples} and {config.dataset_name} has neither the split "
                "inter_task nor cross_task: no likelihood is written"
            )
        stored_weights.check_weights(config)
        memory_estimate.check_disk(plan.needs, folder)
    if config.options.preflight:
        return
    schedule = SaveSchedule.of(config, plan.batches)
    lineage = run_dir.lineage(config, plan, template, method.stage, method.settings(config), hashed=main)
    output_folder.check_not_input(folder, lineage.inputs.values())
    with locks.lock_folder(folder, "train") if main else contextlib.nullcontext():
        if main:
            run_dir.open_run_dir(folder, lineage, trained=checkpoints.has_results(folder))
        PartialState().wait_for_everyone()
        if (folder / manifest.NAME).is_file():
            if main:
                print(f"{folder} is finished already; nothing to do.")
            return
        limit = config.sft.save_total_limit
        if main:
            checkpoints.remove_incomplete(folder)
        PartialState().wait_for_everyone()
        latest = checkpoints.latest_complete(folder)
        if main and latest:
            checkpoints.check_whole(latest)
        if latest and (ended := checkpoints.last_step(latest)):
            config.sft.max_steps = ended  # early stopping had ended it: nothing is left but to save
        callback = checkpoints.CheckpointCallback(schedule, lineage, limit)
        trainer = method.new_trainer(config, tokenizer, dataset, [callback], schedule.strategy, held_out)
        callback.score = _new_scorer(method, config, tokenizer, template, trainer)
        trainer.train(resume_from_checkpoint=str(latest) if latest else None)
        _save(config, trainer, tokenizer, ending, plan, schedule, lineage, started)


def _is_connected() -> bool:
    """Whether the processes that were launched know of each other; without GPUs, those of a configuration for GPUs do not."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or PartialState().num_processes > 1


def _save(
    config: RunConfig,
    trainer: Trainer,
    tokenizer: PreTrainedTokenizerBase,
    ending: Dataset,
    plan: run_plan.Plan,
    schedule: SaveSchedule,
    lineage: run_dir.Lineage,
    started: float,
) -> None:
    """Write the final model, its card and, last, its manifest.

    Args:
        ending: tokenized rows on which the probability of the end-of-turn token is measured.
    """
    folder = config.output_dir
    model = trained_model(trainer)
    with trainer.accelerator.autocast():
        ends_turn = special_tokens.end_of_turn_probability(model, ending)
    if config.peft:
        _merge_adapter(trainer, config, tokenizer)
    else:
        set_stop_token(model, tokenizer)
        trainer.save_model(str(folder))
    if not PartialState().is_main_process:
        return
    state = trainer.state
    saved = (
        state.best_global_step if config.sft.load_best_model_at_end and state.best_global_step else state.global_step
    )
    seen = schedule.batches.samples_seen(saved)
    counts = lineage.counts | {"ends_turn": ends_turn, "samples_seen": seen}
    hashes = {role: content_hash.combined_hash(lineage.hashes[path]) for role, path in lineage.inputs.items()}
    atomic_write.write_text(folder / "README.md", model_card.draft(folder.name, lineage.config, hashes, counts))
    checkpoints.write_manifest(folder, lineage, seen, state, started, ends_turn=ends_turn)
    if ends_turn < _LIKELY:
        print(
            f"Warning: after an expert's whole answer the model ends its turn with probability {ends_turn:.2f}: train longer, "
            "or copy the rows of special tokens that the base was not trained on from the instruct model (instruct_rows)"
        )
    print(
        f"{plan.model} fine-tuned on {counted(plan.rows, 'row')} for {counted(state.global_step, 'step')} written to {folder}"
    )


def _warnings(config: RunConfig, plan: run_plan.Plan, template: ChatTemplate) -> list[str | None]:
    if config.is_planned_elsewhere:
        return [
            built_template.compare(config, template),
            "Note: there is no GPU here: whether the memory of one is enough was not checked",
            memory_estimate.dtype_warning(config),
        ]
    return [
        built_template.compare(config, template),
        memory_estimate.memory_warning(plan.needs),
        memory_estimate.checkpointing_hint(
            config, plan.recomputed, plan.needs.memory_by_recomputed, memory_estimate.available_memory()[0]
        ),
        memory_estimate.dtype_warning(config),
        memory_estimate.bfloat16_warning(config.sft, torch.backends.cpu.get_cpu_capability()),
    ]


def _load(config: RunConfig, method: Method, split: str) -> Dataset:
    loaded = rows.load_split(
        config.dataset_name, config.dataset_config, split, method.columns, text_only=config.options.text_only
    )
    if "label" not in method.columns and getattr(loaded.features.get("label"), "dtype", None) == "bool":
        raise UserError(
            f"the answers of {config.dataset_name}, config {config.dataset_config}, are labeled, and not all are right: train on them "
            "with recipes/preference.py and method: kto, or choose another dataset_config"
        )
    return loaded


def _load_rows(config: RunConfig, method: Method) -> tuple[Dataset, int]:
    """The training split with the rows that are replayed, and the number of these."""
    split = _load(config, method, config.script.dataset_train_split)
    if not config.options.replay_dataset:
        return split, 0
    replayed = rows.load_split(config.options.replay_dataset, None, "train")
    mixed = rows.mix(split, replayed, config.options.replay_ratio, config.sft.seed)
    return mixed, len(mixed) - len(split)


def _ending_rows(
    config: RunConfig, method: Method, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, trained: Dataset
) -> Dataset:
    """A few tokenized rows with the expert's answer: held-out ones, or trained ones if there are none."""
    try:
        chosen = _load(config, method, "inter_task")
    except UserError:
        chosen = trained
    experts = method.expert_rows(chosen)
    if not len(experts):  # of labeled answers, those held out may all be undesirable
        experts = method.expert_rows(trained)
    return rows.tokenize(rows.drawn(experts, _ENDING_ROWS), tokenizer, template, None)


def held_out_rows(config: RunConfig, method: Method) -> dict[str, Dataset]:
    """`likelihood_samples` rows of each held-out split that there is."""
    held_out = {}
    for name in ("inter_task", "cross_task"):
        with contextlib.suppress(UserError):  # a split may be missing
            held_out[name] = rows.drawn(_load(config, method, name), config.options.likelihood_samples)
    return held_out


def _likelihood_rows(
    config: RunConfig, method: Method, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate
) -> list[Dataset]:
    """The rows that are scored at each checkpoint, tokenized: what is wrong with one is known before the first step."""
    if not config.options.likelihood_samples:
        return []
    answers = [column for column in method.columns if column not in ("prompt", "label")]
    return [
        rows.tokenize(rows.with_answer(loaded, answer), tokenizer, template, None)
        for loaded in held_out_rows(config, method).values()
        for answer in answers
    ]


def _new_scorer(
    method: Method, config: RunConfig, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, trainer: Trainer
) -> checkpoints.Scorer | None:
    """Scores `likelihood_samples` held-out rows of each split at a checkpoint, in the precision of training; None for no rows."""
    if not config.options.likelihood_samples:
        return None
    held_out = held_out_rows(config, method)

    def score(model: torch.nn.Module, seen: int, folder: Path | None) -> None:
        with trainer.accelerator.autocast():
            tables = [
                method.score(model, tokenizer, template, split, name, samples_seen=seen)
                for name, split in held_out.items()
            ]
        if folder and tables:
            results.write(pa.concat_tables(tables), folder / method.score_file)

    return score


def _tokenize(split: Dataset, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate, config: RunConfig) -> Dataset:
    completion_only = config.sft.completion_only_loss is not False
    num_proc = config.sft.dataset_num_proc
    return rows.tokenize(split, tokenizer, template, config.sft.max_length, completion_only, num_proc)


def _merge_adapter(trainer: Trainer, config: RunConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Save the adapter, and beside it the whole model with the adapter merged in float32, also if the base was quantized."""
    folder = config.output_dir
    trainer.save_model(str(folder / "adapter"))
    if trainer.is_world_process_zero():
        base = model_loading.load_model(config.model_name, config.model.model_revision, config.config_overrides)
        initialize_weights(base, tokenizer, config)
        adapted = PeftModel.from_pretrained(base, folder / "adapter")
        if warning := lora_targets.untrained_warning(adapted):
            print(warning)
        merged = adapted.merge_and_unload()
        if name := divergence.not_finite(merged.named_parameters()):
            what = f"{name} of the merged model holds a NaN or an infinity"
            raise divergence.diverged(what, trainer.state.global_step, trainer.args, trained_model(trainer))
        set_stop_token(merged, tokenizer)
        merged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _unknown_loss_as_sentence():
    """TRL refuses an unknown loss in the first step only."""
    try:
        yield
    except ValueError as error:
        text = " ".join(str(error).split())
        if text.startswith("Unknown loss type"):
            raise UserError(f"loss_type: {text}") from error
        raise


SFT = Method(
    stage="sft",
    columns=("prompt", "completion"),
    expert_rows=lambda rows_: rows_,
    tokenize=_tokenize,
    longest=lambda dataset: int(row_lengths(dataset).max()),
    settings=lambda config: {
        "method": "sft",
        "completion_only_loss": config.sft.completion_only_loss is not False,
    },
    notes=lambda config, dataset: [],
    new_trainer=new_trainer,
    score=scoring.score,
    score_file="likelihood.parquet",
)
"""Supervised fine-tuning on expert answers."""
