"""A run of recipes/sft.py: what it writes, that it resumes after a kill, and what it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentmerge_hub import manifest as manifests
from agentmerge_hub.chat_template.rendering import ChatTemplate
from agentmerge_hub.errors import UserError
from agentmerge_hub.training import arguments, finetune, rows
from agentmerge_hub.training.checkpoints import latest_complete, remove_incomplete
from agentmerge_hub.training.likelihood import scoring
from agentmerge_hub.training.preference.arguments import parse_preference_args

ROOT = Path(__file__).parents[2]


def command(model: Path, traces: Path, out: Path, **options: object) -> list[str]:
    settings = {
        "model_name_or_path": model, "dataset_name": traces, "dataset_config": "all", "output_dir": out,
        "max_steps": 12, "per_device_train_batch_size": 4, "checkpoint_samples": 16, "learning_rate": 1e-3,
        "logging_steps": 1, "seed": 3, "likelihood_samples": 4,
    } | options  # fmt: skip
    arguments = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    recipe = ROOT / "recipes/sft/tiny/base-all.yaml"
    return [sys.executable, str(ROOT / "recipes/sft.py"), "--config", str(recipe), *arguments]


def run(model: Path, traces: Path, out: Path, **options: object) -> None:
    """As `command`, in this process."""
    finetune.run(arguments.parse_args(command(model, traces, out, **{"tokenizer_name_or_path": model} | options)[2:]))


@pytest.fixture(scope="module")
def finished(tiny_model: Path, traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(tiny_model, traces, out)
    return out


def test_a_run_writes_full_precision_and_its_provenance(finished: Path) -> None:
    weights = load_file(finished / "model.safetensors")
    assert {str(tensor.dtype) for tensor in weights.values()} == {"torch.float32"}
    manifest = json.loads((finished / "manifest.json").read_text())
    # Batches of 4 from 40 rows: 12 steps see 48 samples, a checkpoint at 16, 32 and 48.
    assert manifest["config"]["samples_seen"] == 48
    assert manifest["config"]["learning_rate"] == 1e-3 and manifest["config"]["seed"] == 3
    seen = {
        path.parent.name: json.loads(path.read_text())["config"]["samples_seen"]
        for path in finished.glob("checkpoint-*/manifest.json")
    }
    assert seen == {"checkpoint-4": 16, "checkpoint-8": 32, "checkpoint-12": 48}
    scored = pq.read_table(finished / "checkpoint-8" / "likelihood.parquet").to_pylist()
    names = {f"sample-{index}" for index in range(40, 46)}  # four of six, not the first four: those may be of one task
    assert len(scored) == 4 and {row["sample_id"] for row in scored} < names
    assert [row["sample_id"] for row in scored] != sorted(names)[:4]
    assert {row["samples_seen"] for row in scored} == {32} and all(row["mean_logprob"] < 0 for row in scored)


def test_a_killed_run_resumes_to_the_same_weights(
    finished: Path, tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    options = {"tokenizer_name_or_path": tiny_model}
    process = subprocess.Popen(
        command(tiny_model, traces, out, **options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not (out / "checkpoint-4" / "manifest.json").is_file():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "manifest.json").exists()
    # What a kill while saving leaves: newer, and without its manifest.
    (out / "checkpoint-10").mkdir()
    (out / "checkpoint-10" / "model.safetensors").write_bytes(b"half")
    run(tiny_model, traces, out)
    assert not (out / "checkpoint-10").exists()
    expected, found = load_file(finished / "model.safetensors"), load_file(out / "model.safetensors")
    assert all(expected[name].equal(found[name]) for name in expected)


def test_the_newest_complete_checkpoint_is_found_and_others_removed(tmp_path: Path) -> None:
    for step, whole in ((5, True), (20, True), (100, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if whole:
            (tmp_path / f"checkpoint-{step}" / "manifest.json").write_text("{}")
    remove_incomplete(tmp_path)
    assert latest_complete(tmp_path) == tmp_path / "checkpoint-20"
    assert not (tmp_path / "checkpoint-100").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dataset_config": "cat"}, "has no config 'cat': name one of all"),
        ({"dataset_train_split": "trian"}, "has no split 'trian': it has train, inter_task"),
        ({"dataset_name": "nowhere"}, "no dataset at 'nowhere'"),
        ({"model_name_or_path": "nowhere", "tokenizer_name_or_path": "nowhere"}, "no tokenizer at 'nowhere'"),
        ({"max_length": 50}, "max_length is 50: raise max_length"),
        ({"learning_rat": 1}, "no option is called 'learning_rat': did you mean learning_rate?"),
        ({"learning_rate": "fast"}, "learning_rate"),
        (
            {"use_liger_kernel": "true"},
            "use_liger_kernel needs a GPU, and there is none here: set use_liger_kernel to false",
        ),
        (
            {"eos_token": "<|eot_id|>", "padding_token": "<|x|>", "instruct_rows": "<|y|>"},
            "eos_token '<|eot_id|>' and padding_token '<|x|>' and instruct_rows '<|y|>' are no tokens of ",
        ),
        ({"eos_token": "<|eot_id|>"}, "set eos_token to '<|end|>', which ends a turn in its chat template"),
        ({"padding_token": "<|x|>"}, "remove padding_token, so that '<|pad|>' pads"),
        ({"model_name_or_path": "TRACES"}, "traces has no config.json: it is not a model folder"),
        ({"dataset_name": "MODEL"}, "model is a model folder, not a dataset that `agentmerge build` wrote"),
        (
            {"preflight": "false", "use_cpu": "false", "bf16": "true"},
            "bf16 is set for a GPU, and there is none here: set use_cpu to true",
        ),
        ({"eos_token": "<|bos|>"}, "eos_token is '<|bos|>' and the chat template ends a turn with '<|end|>'"),
    ],
)
def test_mistakes_are_one_sentence(tiny_model: Path, traces: Path, tmp_path: Path, options: dict, says: str) -> None:
    folders = {"TRACES": traces, "MODEL": tiny_model}
    options = {"preflight": "true"} | {option: folders.get(value, value) for option, value in options.items()}
    with pytest.raises(UserError, match=re.escape(says)):
        run(tiny_model, traces, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_run_on_gpus_is_planned_on_a_machine_without_one(
    tiny_model: Path, traces: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    recipe = ROOT / "recipes/sft/llama-3.1-8b/base-all.yaml"
    settings = {
        "config": recipe, "model_name_or_path": tiny_model, "tokenizer_name_or_path": tiny_model, "dataset_name": traces,
        "output_dir": tmp_path / "out", "eos_token": "<|end|>", "padding_token": "<|pad|>", "preflight": "true",
    }  # fmt: skip
    words = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    for more in ([], ["--use_cpu", "false"]):
        finetune.run(arguments.parse_args(words + more))
        printed = capsys.readouterr().out
        assert printed.startswith("Preflight: 40 rows") and "Note: there is no GPU here" in printed
        assert "Warning" not in printed


@pytest.mark.parametrize("read", [arguments.parse_args, parse_preference_args])
@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        ("evaluate/demo.yaml", "one of collect and evaluate: run `agentmerge collect` or `agentmerge evaluate`"),
        ("collect/demo.yaml", "one of collect and evaluate"),
        ("merge/ties.yml", "a merge spec: run `agentmerge merge`"),
        ("sft/tiny/sweep.yaml", "a sweep of training runs: run `agentmerge recipes expand`"),
    ],
)
def test_a_recipe_of_another_kind_is_named_as_that(read: Callable, recipe: str, kind: str) -> None:
    with pytest.raises(UserError, match=f"has no model_name_or_path: it is no recipe of training, but {kind}"):
        read(["--config", str(ROOT / "recipes" / recipe)])


@pytest.mark.parametrize(
    ("read", "recipe", "script", "option"),
    [
        (arguments.parse_args, "preference/tiny/agent.yaml", "preference.py", "beta"),
        (arguments.parse_args, "preference/tiny/merged-kto.yaml", "preference.py", "method"),
        (parse_preference_args, "sft/llama-3.1-8b/instruct-all.yaml", "sft.py", "packing"),
    ],
)
def test_a_recipe_of_the_other_script_is_named_as_that(read: Callable, recipe: str, script: str, option: str) -> None:
    said = rf"{recipe} is for recipes/{script}, which has the option {option}: launch that script with it, or remove {option}$"
    with pytest.raises(UserError, match=said):
        read(["--config", str(ROOT / "recipes" / recipe)])


def test_the_preflight_refuses_a_folder_that_is_no_run(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="already exists and is not a run: choose another output_dir"):
        run(tiny_model, traces, tmp_path, preflight="true")
    with pytest.raises(UserError, match="a part of the path is a file"):
        run(tiny_model, traces, tmp_path / "notes.txt" / "out", preflight="true")


def test_an_adapter_is_merged_into_a_whole_model(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    options = {"use_peft": "true", "lora_target_modules": "all-linear", "lora_r": 2, "max_steps": 4}
    run(tiny_model, traces, tmp_path / "lora", **options)
    before, after = load_file(tiny_model / "model.safetensors"), load_file(tmp_path / "lora" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed and all("_proj" in name for name in changed)
    assert manifests.of_run(tmp_path / "lora/adapter")["config"] == manifests.read(tmp_path / "lora")["config"]
    (checkpoint,) = (tmp_path / "lora").glob("checkpoint-*")
    assert manifests.of_run(checkpoint) == manifests.read(checkpoint)
    (checkpoint / manifests.NAME).unlink()
    assert manifests.of_run(checkpoint) is None  # which samples it has seen is not known


@pytest.fixture(scope="module")
def two(tiny_model: Path, traces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes, each with the whole model."""
    out = tmp_path_factory.mktemp("runs") / "two"
    options = {"tokenizer_name_or_path": tiny_model, "max_steps": 4, "per_device_train_batch_size": 2}
    done = in_two_processes(*command(tiny_model, traces, out, **options, freeze="embed_tokens")[1:])
    assert done.returncode == 0, done.stderr
    return out


def in_two_processes(*script: str, **environment: str) -> subprocess.CompletedProcess:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    return subprocess.run(
        [*launcher, *script], capture_output=True, text=True, check=False, env=os.environ | environment
    )


def test_two_processes_see_twice_the_samples_a_step_and_divide_the_scored_rows(two: Path, traces: Path) -> None:
    manifest = json.loads((two / "manifest.json").read_text())
    assert manifest["config"]["batch"] == 4 and manifest["config"]["samples_seen"] == 16
    assert (two / "checkpoint-4" / "manifest.json").is_file()
    tokenizer, model = AutoTokenizer.from_pretrained(two), AutoModelForCausalLM.from_pretrained(two / "checkpoint-4")
    held_out = rows.drawn(rows.load_split(str(traces), "all", "inter_task"), 4)
    expected = scoring.score(model, tokenizer, ChatTemplate(tokenizer), held_out, "inter_task").to_pylist()
    found = pq.read_table(two / "checkpoint-4/likelihood.parquet").to_pylist()
    assert [row["sample_id"] for row in found] == [row["sample_id"] for row in expected]
    assert [row["mean_logprob"] for row in found] == pytest.approx([row["mean_logprob"] for row in expected], abs=1e-4)


def test_a_sharded_run_gives_the_same_weights(two: Path, tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    """FSDP2 as recipes/accelerate/fsdp.yaml sets it, against every process having the whole model."""
    given = launch_command_parser().parse_args(["--config_file", str(ROOT / "recipes/accelerate/fsdp.yaml"), "sft.py"])
    environment = prepare_multi_gpu_env(_validate_launch_command(given)[0]) | {"ACCELERATE_MIXED_PRECISION": "no"}
    assert environment["ACCELERATE_USE_FSDP"] == "true" and environment["FSDP_VERSION"] == "2"
    options = {"tokenizer_name_or_path": tiny_model, "max_steps": 4, "per_device_train_batch_size": 2}
    script = command(tiny_model, traces, tmp_path / "sharded", **options, freeze="embed_tokens")[2:]
    done = in_two_processes(str(Path(__file__).with_name("sharded_on_cpu.py")), *script, **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("sharded step 4") == 2
    whole, sharded = load_file(two / "model.safetensors"), load_file(tmp_path / "sharded" / "model.safetensors")
    began = load_file(tiny_model / "model.safetensors")
    assert whole.keys() == sharded.keys()
    for name, tensor in whole.items():
        assert (sharded[name] - tensor).norm() <= 1e-3 * (tensor - began[name]).norm()
    assert sharded["model.embed_tokens.weight"].equal(began["model.embed_tokens.weight"])
    seen = json.loads((tmp_path / "sharded/checkpoint-4/manifest.json").read_text())["config"]["samples_seen"]
    assert seen == 16


def test_the_launcher_of_several_processes_ends_with_the_sentence(
    tiny_model: Path, traces: Path, tmp_path: Path
) -> None:
    options = {"tokenizer_name_or_path": tiny_model, "dataset_config": "cat"}
    done = in_two_processes(*command(tiny_model, traces, tmp_path / "out", **options)[1:])
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len([line for line in lines if line.startswith("Error: ")]) == 1
    assert "has no config 'cat'" in lines[-2]


def test_accelerate_ends_with_the_sentence(tiny_model: Path, traces: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "-q", "--config_file"]
    script = command(tiny_model, traces, tmp_path / "out", dataset_config="cat")[1:]
    done = subprocess.run(
        [*launcher, str(ROOT / "recipes/accelerate/cpu.yaml"), *script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: ") and "Traceback" not in done.stderr
