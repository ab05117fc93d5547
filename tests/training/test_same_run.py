"""A run is resumed only with the settings and rows that it began with, by one writer, from a complete checkpoint."""

import json
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import LORA, run_config, save_model
from safetensors.torch import load_file

from agentmerge_hub.errors import UserError
from agentmerge_hub.files import locks
from agentmerge_hub.training import checkpoints, finetune, model_loading, rows, run_dir
from agentmerge_hub.training.preflight import run_plan
from agentmerge_hub.training.trainer import new_trainer


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("same") / "model", tiny_model)


@pytest.fixture(scope="module")
def finished(model: Path, traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("same") / "run"
    finetune.run(run_config(model, traces, out))
    return out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"weight_decay": 0.1}, r"weight_decay is 0.1, was 0.0"),
        ({"optim": "sgd"}, r"optim is 'sgd'"),
        ({"warmup_steps": 2}, r"warmup_steps is 2.0, was 0.05"),
        ({"loss_type": "dft"}, r"loss_type is 'dft'"),
        ({"bf16": True}, r"bf16 is True"),
        ({"dtype": "bfloat16"}, r"dtype is 'bfloat16'"),
        ({"completion_only_loss": False}, r"completion_only_loss is False"),
        ({"dataset_train_split": "inter_task"}, r"sha256 of the rows"),
        ({"per_device_train_batch_size": 2}, r"batch is 2, was 4"),
        (LORA, r"lora_r is 2, was 16"),
        ({"chat_template_path": "plain.jinja"}, r"sha256 of the chat template"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_another_run_is_never_mixed_in(
    finished: Path, model: Path, traces: Path, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    if "chat_template_path" in options:
        path = tmp_path / "plain.jinja"
        path.write_text((model / "chat_template.jinja").read_text() + "{# another #}")
        options = {"chat_template_path": path}
    before = (finished / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(UserError, match=says):
        finetune.run(run_config(model, traces, finished, **options))
    assert (finished / "model.safetensors").stat().st_mtime_ns == before


def test_a_checkpoint_without_what_was_saved_is_not_resumed_from(
    finished: Path, model: Path, traces: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "manifest.json").unlink()
    (run / "checkpoint-4" / "optimizer.pt").unlink()
    with pytest.raises(UserError, match=r"checkpoint-4: optimizer\.pt is missing: .* delete this folder"):
        finetune.run(run_config(model, traces, run))
    shutil.rmtree(run / "checkpoint-4")
    (run / "checkpoint-2" / "notes.txt").write_text("a file of the user's")
    finetune.run(run_config(model, traces, run))
    assert (run / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()


def test_a_run_grouped_by_length_is_resumed_in_the_same_order(model: Path, traces: Path, tmp_path: Path) -> None:
    options = {"train_sampling_strategy": "group_by_length", "max_steps": 18}  # epochs of ten steps
    whole = tmp_path / "whole"
    finetune.run(run_config(model, traces, whole, **options))
    run = shutil.copytree(whole, tmp_path / "run")
    (run / "manifest.json").unlink()
    shutil.rmtree(run / "checkpoint-16")
    shutil.rmtree(run / "checkpoint-18")
    finetune.run(run_config(model, traces, run, **options))
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


BEST = {
    "learning_rate": 1.0, "eval_strategy": "steps", "eval_steps": 1, "dataset_test_split": "inter_task", "checkpoint_samples": None,
    "save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True,
}  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"lr_scheduler_type": "constant", "warmup_steps": None},
        BEST,
        BEST | {"early_stopping_patience": 1, "max_steps": 8},
    ],
    ids=["max_steps", "best", "early stopping"],
)
def test_a_run_that_is_resumed_from_its_last_checkpoint_trains_no_further_step(
    model: Path, traces: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    """As after a kill while the final model was saved, in the midst of an epoch of ten steps; also where the folder was moved."""
    finetune.run(run_config(model, traces, tmp_path / "begun", **options))
    whole = (tmp_path / "begun").rename(tmp_path / "whole")
    assert checkpoints.latest_complete(whole)
    run = shutil.copytree(whole, tmp_path / "run")
    for name in ("manifest.json", "model.safetensors"):
        (run / name).unlink()
    finetune.run(run_config(model, traces, run, **options))
    assert (run / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    counts = [json.loads((folder / "manifest.json").read_text())["counts"] for folder in (whole, run)]
    assert counts[0] == counts[1] and counts[0]["steps"] < 8


@pytest.mark.parametrize("seeds", [(0, None), (3, None), (0, 7)])
def test_batches_by_length_follow_from_the_seed_and_the_epoch(
    model: Path, traces: Path, tmp_path: Path, seeds: tuple[int, int | None]
) -> None:
    def order(epoch: float, draws: int, seed: int = seeds[0], data_seed: int | None = seeds[1]) -> list[int]:
        options = {"train_sampling_strategy": "group_by_length", "seed": seed, "data_seed": data_seed}
        options["gradient_accumulation_steps"] = 5  # the rows of a step are sorted together
        config = run_config(model, traces, tmp_path / "run", **options)
        tokenizer, template = model_loading.load_tokenizer(config)
        dataset = rows.tokenize(rows.load_split(str(traces), "all", "train"), tokenizer, template, None)
        trainer = new_trainer(config, tokenizer, dataset, [])
        trainer.state.epoch = epoch
        torch.rand(draws)
        drawn = list(trainer._get_train_sampler())
        lengths = [len(dataset["input_ids"][index]) for index in drawn]
        for step in (lengths[1:20], lengths[21:]):  # the very longest row is put first, in place of its step's longest
            assert step == sorted(step, reverse=True)
        return drawn

    first, second = order(0.0, 0), order(1.0, 0)
    assert sorted(first) == sorted(second) == list(range(40)) and first != second
    assert order(1.4, 5) == second  # resumed within the epoch
    assert order(0.0, 0, *((seeds[0] + 1, None) if seeds[1] is None else (seeds[0], seeds[1] + 1))) != first


def test_what_decides_the_rows_of_a_step_is_compared(model: Path, traces: Path, tmp_path: Path) -> None:
    config = run_config(model, traces, tmp_path / "run", eval_strategy="epoch", dataset_test_split="inter_task")
    tokenizer, template = model_loading.load_tokenizer(config)
    dataset = rows.tokenize(rows.load_split(str(traces), "all", "train"), tokenizer, template, None)
    plan = run_plan.make_plan(dataset, config)

    def open_run(plan: run_plan.Plan) -> None:
        run_dir.open_run_dir(config.output_dir, run_dir.lineage(config, plan, template, "sft", {"method": "sft"}))

    config.output_dir.mkdir()
    open_run(plan)
    open_run(plan)
    with pytest.raises(UserError, match="rows trained twice an epoch is 2, was not set"):
        open_run(replace(plan, batches=replace(plan.batches, repeated=2)))
    config.sft.per_device_eval_batch_size = 3
    with pytest.raises(UserError, match="per_device_eval_batch_size is 3, was 8"):
        open_run(plan)


def test_what_changes_no_result_may_differ(
    finished: Path, model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = {
        "logging_steps": 2,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "save_total_limit": 1,
    }
    moved = shutil.copytree(model, tmp_path / "elsewhere")
    finetune.run(run_config(moved, traces, finished, **options))
    assert "finished already" in capsys.readouterr().out


def test_a_refused_run_leaves_its_folder_to_another(model: Path, traces: Path, tmp_path: Path) -> None:
    options = LORA | {"lora_target_modules": "lm_head"}
    with pytest.raises(UserError, match="TRL refuses"):
        finetune.run(run_config(model, traces, tmp_path / "run", **options))
    finetune.run(run_config(model, traces, tmp_path / "run", max_steps=1))
    assert json.loads((tmp_path / "run/run.json").read_text())["settings"]["use_peft"] is False


def test_a_second_writer_and_a_file_in_the_way_are_refused(model: Path, traces: Path, tmp_path: Path) -> None:
    with (
        locks.lock_folder(tmp_path / "run", "train"),
        pytest.raises(UserError, match=r"is being written by `train` on .* \(process \d+"),
    ):
        finetune.run(run_config(model, traces, tmp_path / "run"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file"):
        finetune.run(run_config(model, traces, tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(UserError, match="model"):
        finetune.run(run_config(model, traces, model))


def test_a_kill_while_old_checkpoints_are_deleted_loses_nothing(
    model: Path, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With save_total_limit 1 a complete checkpoint exists at every moment."""
    options = {"save_total_limit": 1, "max_steps": 8}
    finetune.run(run_config(model, traces, tmp_path / "whole", **options))
    out, deleted = tmp_path / "killed", []

    class Killed(BaseException):
        pass

    def rmtree(folder: Path) -> None:
        deleted.append(folder.name)
        next(folder.glob("*.safetensors")).unlink()
        raise Killed

    monkeypatch.setattr(checkpoints.shutil, "rmtree", rmtree)
    with pytest.raises(Killed):
        finetune.run(run_config(model, traces, out, **options))
    monkeypatch.undo()
    assert deleted == ["checkpoint-2"]
    latest = checkpoints.latest_complete(out)
    assert latest is not None and latest.name == "checkpoint-4"
    finetune.run(run_config(model, traces, out, **options))
    expected, found = (load_file(folder / "model.safetensors") for folder in (tmp_path / "whole", out))
    assert all(expected[name].equal(found[name]) for name in expected)
    assert [path.name for path in out.glob("checkpoint-*")] == ["checkpoint-8"]


def test_a_checkpoint_larger_than_files_may_be_is_a_sentence(model: Path, traces: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(UserError, match=r"file size limit|ulimit -f"):
            finetune.run(run_config(model, traces, tmp_path / "run", max_steps=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoints.latest_complete(tmp_path / "run") is None
    finetune.run(run_config(model, traces, tmp_path / "run", max_steps=2))
    assert json.loads((tmp_path / "run/manifest.json").read_text())["counts"]["steps"] == 2
