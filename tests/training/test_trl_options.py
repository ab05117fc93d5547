"""Options of TRL and transformers are applied, or refused in a sentence before anything is written."""

import json
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from runs import LORA, run_config, save_model
from trl import DPOConfig, KTOConfig, ModelConfig, ScriptArguments, SFTConfig

from agentmerge_hub.errors import UserError
from agentmerge_hub.training import finetune, model_loading, rows
from agentmerge_hub.training.preflight import memory_estimate, option_effects, trl_options
from agentmerge_hub.training.preflight.trl_options import OWN, check_options, known_options


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("options") / "model", tiny_model)


def test_held_out_loss_the_best_checkpoint_and_early_stopping(model: Path, traces: Path, tmp_path: Path) -> None:
    options = {
        "eval_strategy": "steps", "eval_steps": 1, "save_steps": 1, "checkpoint_samples": None, "save_total_limit": 1,
        "dataset_test_split": "inter_task", "load_best_model_at_end": True, "early_stopping_patience": 1, "max_steps": 8,
        "learning_rate": 30.0, "assistant_only_loss": True, "bf16": True, "likelihood_samples": 6,
    }  # fmt: skip
    finetune.run(run_config(model, traces, tmp_path / "run", **options))
    state = json.loads(next((tmp_path / "run").glob("checkpoint-*/trainer_state.json")).read_text())
    saved = sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*"))
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert all("eval_loss" in entry for entry in state["log_history"] if entry.get("step") and "loss" not in entry)
    assert manifest["counts"]["steps"] < 8  # at such a learning rate the loss gets worse
    assert len(saved) <= 2 and "checkpoint-1" in saved  # the best and the newest
    # The likelihood is computed in the precision of training, as the evaluation's loss on the same rows.
    newest = tmp_path / "run" / saved[-1]
    losses = [
        entry.get("eval_loss") for entry in json.loads((newest / "trainer_state.json").read_text())["log_history"]
    ]
    scores = pq.read_table(newest / "likelihood.parquet").to_pylist()
    logprob = sum(each["n_tokens"] * each["mean_logprob"] for each in scores) / sum(each["n_tokens"] for each in scores)
    assert -logprob == pytest.approx(losses[-1], rel=1e-3)


def test_dataloader_drop_last_counts_what_is_seen(
    model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    options = {"max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 16, "checkpoint_samples": 32}
    finetune.run(run_config(model, traces, tmp_path / "run", dataloader_drop_last=True, **options))
    assert "4 steps of 16 samples, 64 samples in all (dataloader_drop_last drops 8 an epoch)" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    assert manifest["config"]["samples_seen"] == 64 and manifest["counts"]["steps"] == 4
    saved = {path.name for path in (tmp_path / "run").glob("checkpoint-*")}
    assert saved == {"checkpoint-2", "checkpoint-4"}
    with pytest.raises(UserError, match="drops the only batch"):
        options["per_device_train_batch_size"] = 64
        finetune.run(run_config(model, traces, tmp_path / "none", dataloader_drop_last=True, **options))


def test_the_effect_of_every_option_is_known() -> None:
    """An option that a new release of TRL or transformers adds fails here until `option_effects` says what it does."""
    kinds = (SFTConfig, DPOConfig, KTOConfig, ModelConfig, ScriptArguments)
    options = {field.name for kind in kinds for field in fields(kind)}
    assert options - known_options() == set()
    assert known_options() - OWN - options == set(), "no longer an option"
    conditional = [option for each in option_effects.CONDITIONAL.values() for option in each]
    named = Counter([*option_effects.APPLIED, *option_effects.REFUSED, *conditional])
    assert not [option for option, count in named.items() if count > 1]


def test_an_option_that_is_not_known_is_refused(
    model: Path, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trl_options, "APPLIED", option_effects.APPLIED - {"max_grad_norm"})
    with pytest.raises(UserError, match=r"max_grad_norm is an option .* not known"):
        check_options(run_config(model, traces, tmp_path / "run", max_grad_norm=0.5))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dataset_streaming": True}, "dataset_streaming is True and cannot be applied"),
        ({"dataset_kwargs": '{"add_special_tokens": true}'}, "dataset_kwargs"),
        ({"dataset_text_field": "prompt"}, "dataset_text_field is 'prompt'"),
        ({"truncation_mode": "keep_end"}, "no row is ever truncated"),
        ({"save_only_model": True}, "could not be resumed"),
        ({"push_to_hub": True}, "`agentmerge push` publishes"),
        ({"trust_remote_code": True}, "only models whose code is in transformers"),
        ({"auto_find_batch_size": True}, "set per_device_train_batch_size"),
        ({"resume_from_checkpoint": "x"}, "resumes from the newest complete checkpoint by itself"),
        ({"model_init_kwargs": '{"dtype": "bfloat16"}'}, "set dtype instead"),
        ({"early_stopping_patience": 2}, "needs load_best_model_at_end"),
        ({"enable_jit_checkpoint": True}, "would not be resumed from"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size is 0: set it to 1 or more"),
        ({"save_total_limit": 0}, "save_total_limit is 0: set it to 1 or more"),
        ({"pad_to_multiple_of": -8}, "pad_to_multiple_of is -8: set it to 1 or more"),
        ({"learning_rate": 0}, "learning_rate is 0: set it to a number above 0"),
        ({"learning_rate": "inf"}, "learning_rate is inf: set it to a number above 0"),
        ({"max_steps": -1, "num_train_epochs": "nan"}, "num_train_epochs is nan: set it to a number above 0"),
        ({"max_steps": 0}, "max_steps is 0: set it to 1 or more, or to -1 for num_train_epochs"),
        ({"weight_decay": -1}, "weight_decay is -1: set it to 0 or a number above"),
        ({"max_grad_norm": "nan"}, "max_grad_norm is nan: set it to a number above 0, or to 0 to clip no gradients"),
        ({"label_smoothing_factor": 1.5}, "label_smoothing_factor is 1.5: set it to 0 or a number above, below 1"),
        (LORA | {"lora_alpha": 0}, "lora_alpha is 0: set it to a number above 0"),
        ({"hub_model_id": "a/b"}, "`agentmerge push` publishes"),
        ({"lora_r": 4}, "lora_r has no effect without use_peft"),
        ({"use_bnb_nested_quant": True}, "without load_in_4bit"),
        ({"eval_steps": 2}, "eval_steps has no effect without eval_strategy"),
        ({"eval_steps": 0, "eval_strategy": "steps"}, "eval_steps is 0: set it to a number above 0"),
        ({"dataloader_persistent_workers": True}, "has no effect without dataloader_num_workers"),
        (
            {"load_best_model_at_end": True, "eval_strategy": "steps", "save_steps": 1, "greater_is_better": True},
            "a loss, of which the lowest is best",
        ),
        ({"do_eval": True}, "do_eval has no effect without eval_strategy"),
        ({"replay_ratio": 0.1}, "without replay_dataset"),
        ({"packing_strategy": "bfd"}, "without packing"),
        ({"activation_offloading": True}, "there is no GPU"),
        ({"fp16": True}, "has no effect on a CPU"),
        ({"accelerator_config": '{"split_batches": true}'}, "sets split_batches"),
        ({"accelerator_config": '{"dispatch_batches": true}'}, "sets dispatch_batches to True .* a resumed run would"),
        ({"accelerator_config": '{"use_seedable_sampler": false}'}, "sets use_seedable_sampler to False"),
        ({"accelerator_config": '{"even_batches": false}'}, "sets even_batches to False"),
        ({"train_sampling_strategy": "batch_rebalance"}, "by a seed of its own"),
        ({"label_smoothing_factor": 0.1, "loss_type": "dft"}, "TRL smooths nll only"),
        ({"label_names": "targets"}, "the labels are in the column labels"),
        ({"length_column_name": "n_tokens"}, "lengths are those of the tokenized rows"),
        ({"save_on_each_node": True}, "on the main process only"),
        ({"hub_strategy": "all_checkpoints"}, "`agentmerge push` publishes"),
        ({"eval_accumulation_steps": 2}, "computes the loss only"),
        ({"metric_for_best_model": "eval_loss"}, "without load_best_model_at_end"),
        (
            {
                "load_best_model_at_end": True,
                "eval_strategy": "steps",
                "save_steps": 1,
                "metric_for_best_model": "accuracy",
            },
            "set it to eval_loss",
        ),
        (
            {"activation_checkpointing_kwargs": '{"use_reentrant": true}', "activation_checkpointing": False},
            "set activation_chec",
        ),
        (
            {"activation_checkpointing_kwargs": '{"every_n_layers": 2}', "activation_checkpointing": True},
            "set recomputed_layers",
        ),
        ({"recomputed_layers": 1}, "recomputed_layers has no effect without activation_checkpointing"),
        ({"recomputed_layers": 0, "activation_checkpointing": True}, "recomputed_layers is 0: set it to 1 or more"),
        ({"assistant_only_loss": True, "completion_only_loss": False}, "contradict each other"),
        ({"lr_scheduler_type": "constant", "warmup_steps": 3}, "set constant_with_warmup"),
        (
            {"lr_scheduler_type": "constant_with_warmup", "lr_scheduler_kwargs": '{"x": 1}'},
            "lr_scheduler_kwargs has no effect",
        ),
    ],
)
def test_options_without_effect_are_refused(
    model: Path, traces: Path, tmp_path: Path, options: dict, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        check_options(run_config(model, traces, tmp_path / "run", **options))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"save_steps": 2}, "checkpoint_samples and save_steps are both set"),
        (
            {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 1, "dataset_test_split": "inter_task"},
            "among the checkpoints of TRL's save_strategy",
        ),
        ({"eval_strategy": "steps", "eval_steps": 5, "dataset_test_split": "inter_task"}, "eval_steps is 5 and the run has 4 steps"),
        ({"warmup_steps": 4}, "warmup_steps is 4 and the run has 4 steps"),
        ({"optim": "paged_adamw_8bit"}, "need to install `bitsandbytes`"),
        ({"optim_args": "foo=1"}, "'foo=1' has no effect with optim adamw_torch_fused"),
        ({"optim": "sgd", "adam_beta2": 0.99}, "adam_beta2 0.99 has no effect with optim sgd"),
        ({"optim_target_modules": "attn"}, "optim_target_modules 'attn' has no effect"),
        ({"router_aux_loss_coef": 0.1}, "router_aux_loss_coef has no effect on llama"),
        ({"lr_scheduler_type": "warmup_stable_decay"}, "missing 1 required positional argument: 'num_decay_steps'"),
        ({"lr_scheduler_kwargs": '{"x": 1}'}, "unexpected keyword argument 'x'"),
        ({"report_to": "mlflow"}, "pip install mlflow"),
        ({"attn_implementation": "flash_attention_2"}, "doesn't seem to be installed"),
        ({"model_init_kwargs": '{"max_positions": 9}'}, "max_positions, which the configuration of .* does not have"),
        (
            {"activation_checkpointing": True, "recomputed_layers": 3},
            "recomputed_layers is 3 and the model has 2 layers: lower it",
        ),
        (LORA | {"lora_modules_to_save": "lm_heed"}, "'lm_heed' is no module of the model"),
    ],
)  # fmt: skip
def test_preflight_refuses_what_training_would(
    model: Path, traces: Path, tmp_path: Path, options: dict, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        finetune.run(run_config(model, traces, tmp_path / "run", preflight=True, **options))
    assert not (tmp_path / "run").exists()


def test_prompts_are_trained_where_completion_only_loss_is_off(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    tokenizer, template = model_loading.load_tokenizer(run_config(tiny_model, traces, tmp_path / "run"))
    split = load_dataset(str(traces), "all", split="inter_task")
    for row in rows.tokenize(split, tokenizer, template, None, completion_only=False):
        assert row["labels"] == row["input_ids"]


def test_narrow_weights_are_warned_of_with_the_arithmetic(model: Path, traces: Path, tmp_path: Path) -> None:
    warning = memory_estimate.dtype_warning(
        run_config(model, traces, tmp_path / "run", dtype="bfloat16", learning_rate=1e-6)
    )
    assert warning and "8 significant bits" in warning and "8e-05" in warning and "1e-06" in warning
    assert memory_estimate.dtype_warning(run_config(model, traces, tmp_path / "run")) is None


def test_bfloat16_is_chosen_by_the_processor_where_it_is_not_set(
    model: Path, traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentmerge_hub.training import arguments

    for supported in (True, False):
        monkeypatch.setattr(arguments, "has_fast_bfloat16", lambda supported=supported: supported)
        words = [
            "--model_name_or_path",
            str(model),
            "--dataset_name",
            str(traces),
            "--output_dir",
            str(tmp_path / "run"),
        ]
        assert arguments.parse_args([*words, "--use_cpu", "true"]).sft.bf16 is supported
        assert arguments.parse_args([*words, "--use_cpu", "true", "--bf16", "false"]).sft.bf16 is False
