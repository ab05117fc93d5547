"""A fine-tuned run, its checkpoint or its adapter reaches the Hub without the trainer's state, and loads from there."""

import json
from pathlib import Path

import pytest
import stage_outputs
from hub_server import Hub
from huggingface_hub import ModelCard
from license_copies import license_copy

from agentmerge_hub import manifest

LICENSE = ("--license", "apache-2.0")


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    return stage_outputs.dataset(tmp_path / "traces")


def files_of(hub: Hub, repo_id: str) -> dict[str, bytes]:
    files = hub.store.repos["model", repo_id].resolve("v1.0.0").files
    return {name: file.content for name, file in files.items() if name != ".gitattributes"}


def test_a_run_goes_without_its_trainers_state(hub: Hub, run, traces: Path, tokenizer_folder: Path, tmp_path) -> None:
    stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces)
    run("push", "model", "run", "--repo-id", "acme/agent", *LICENSE, "--traces", "traces", "--yes")
    files = files_of(hub, "acme/agent")
    assert not [name for name in files if "/" in name or name in ("run.json", "training_args.bin")]
    assert set(json.loads(files["manifest.json"])["outputs"]) == set(files) - {"manifest.json"}
    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model == ["acme/tiny-base"] and card.data.base_model_relation == "finetune"
    assert (
        "| learning rate | 5e-06 |" in card.text and "| samples seen | 48 |" in card.text and "epochs" not in card.text
    )
    run("download", "acme/agent", "-o", "copy")
    assert manifest.verify(tmp_path / "copy") == []
    run(
        code="""
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("acme/agent")
model = AutoModelForCausalLM.from_pretrained("acme/agent", dtype="auto")
ids = tokenizer.apply_chat_template([{"role": "user", "content": "Go"}], return_tensors="pt", return_dict=True)
assert model.generate(**ids, max_new_tokens=2, do_sample=False).shape[1] > ids["input_ids"].shape[1]
"""
    )


def test_a_checkpoint_of_a_preference_run_goes_alone(
    hub: Hub, run, traces: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    settings = {"method": "kto", "beta": 0.1, "reference_model": "agentmerge before this training"}
    stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces, preference=settings)
    run("push", "model", "run/checkpoint-4", "--repo-id", "acme/early", *LICENSE, "--traces", "traces", "--yes")
    files = files_of(hub, "acme/early")
    assert "optimizer.pt" not in files and "model.safetensors" in files
    card = ModelCard(files["README.md"].decode())
    assert {"trl", "kto"} <= set(card.data.tags) and "TRL's KTO" in card.text
    assert "| reference model | agentmerge before this training |" in card.text


def test_a_run_on_a_dataset_of_the_hub_asks_for_its_rows(run, tokenizer_folder: Path, traces, tmp_path, hub) -> None:
    stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, None)
    push = ("push", "model", "run", "--repo-id", "acme/agent", *LICENSE)
    failed = run(*push, "--yes", ok=False)
    assert "it learned from acme/workarena-traces: pass --traces" in failed.stdout + failed.stderr
    run(*push, "--traces", "traces", "--yes")
    assert ModelCard(files_of(hub, "acme/agent")["README.md"].decode()).data.datasets == ["acme/workarena-traces"]


def test_a_model_goes_with_the_terms_of_its_base(hub: Hub, run, traces, tokenizer_folder, tmp_path: Path) -> None:
    stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces, model="Qwen/Qwen2.5-3B")
    push = ("push", "model", "run", "--repo-id", "acme/agent", "--traces", "traces", "--yes")
    failed = run(*push, ok=False)
    assert "the Qwen RESEARCH LICENSE AGREEMENT requires a copy of its complete text in the repository" in failed.stdout
    (tmp_path / "terms.md").write_text(license_copy("qwen-research"))
    run(*push, "--license-file", "terms.md")
    files = files_of(hub, "acme/agent")
    card = ModelCard(files["README.md"].decode())
    assert card.data.license_name == "qwen-research" and card.data.base_model == ["Qwen/Qwen2.5-3B"]
    assert "**Built with Qwen. For non-commercial research and evaluation only.**" in card.text
    assert files["NOTICE"].startswith(
        b"Qwen is licensed under the Qwen RESEARCH LICENSE AGREEMENT, Copyright (c) Alibaba"
    )


def test_what_was_replayed_has_terms_too(hub: Hub, run, traces: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces)
    content = manifest.read(folder)
    content["config"] |= {"replay_dataset": "acme/instructions", "replay_ratio": 0.25}
    (folder / "manifest.json").write_text(json.dumps(content))
    push = ("push", "model", "run", "--repo-id", "acme/agent", *LICENSE, "--traces", "traces", "--yes")
    assert "it also learned from acme/instructions, replayed" in run(*push, ok=False).stdout
    run(*push, "--replay-license", "cc-by-4.0")
    card = ModelCard(files_of(hub, "acme/agent")["README.md"].decode())
    assert card.data.license == "cc-by-4.0" and "cc-by-4.0: answers of acme/instructions" in card.text
    assert card.data.base_model == ["acme/tiny-base"] and card.data.datasets == ["acme/instructions"]


def test_an_adapter_is_loaded_on_its_base(hub: Hub, run, traces: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces, rank=2)
    stage_outputs.finetuned(tmp_path / "base", tokenizer_folder, traces, model="acme/tinier")
    base = ("push", "model", "base", "--repo-id", "acme/tiny-base", *LICENSE, "--traces", "traces", "--yes")
    run(*base)
    itself = run(*base[:4], "acme/tinier", *base[5:], ok=False)
    assert "acme/tinier is the model itself, not one that it was made of" in itself.stdout
    push = ("push", "model", "run/checkpoint-4", "--repo-id", "acme/lora", *LICENSE, "--traces", "traces", "--yes")
    run(*push)
    files = files_of(hub, "acme/lora")
    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model_relation == "adapter" and card.data.library_name == "peft"
    assert "It is loaded on acme/tiny-base" in card.text and "| rank of the adapter | 2 |" in card.text
    told = json.loads(files["adapter_config.json"])
    assert told["base_model_name_or_path"] == "acme/tiny-base" and str(tmp_path) not in json.dumps(told)
    assert manifest.verify(folder) == []
    run(
        code="""
from peft import AutoPeftModelForCausalLM
model = AutoPeftModelForCausalLM.from_pretrained("acme/lora", dtype="auto")
assert model.peft_config["default"].r == 2
"""
    )


def test_a_graft_is_loaded_on_the_instruct_model(hub: Hub, run, traces: Path, tokenizer_folder, tmp_path: Path) -> None:
    stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces, rank=2)
    run("graft", "run/checkpoint-4", "--onto", "run", "-o", "grafted")
    run("push", "model", "grafted", "--repo-id", "acme/graft", "--base-model", "acme/tiny-instruct", *LICENSE,
        "--traces", "traces", "--yes")  # fmt: skip
    files = files_of(hub, "acme/graft")
    card = ModelCard(files["README.md"].decode())
    assert card.data.base_model == ["acme/tiny-base", "acme/tiny-instruct"]
    assert card.data.base_model_relation == "adapter"
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "acme/tiny-instruct"


def test_a_base_model_that_contradicts_the_lineage_is_refused(
    run, traces: Path, tokenizer_folder, tmp_path: Path
) -> None:
    folder = stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces)
    content = manifest.read(folder)
    content["inputs"]["tokenizer"] = {"name": "tokenizer", "sha256": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(content))
    push = ("push", "model", "run", "--repo-id", "acme/agent", *LICENSE, "--traces", "traces")
    run(*push, "--base-model", "acme/tiny-base")
    failed = run(*push, "--base-model", "acme/other", ok=False)
    assert "--base-model acme/other contradicts the lineage, which names acme/tiny-base" in failed.stdout


def test_no_local_path_goes_out(hub: Hub, run, traces: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "scratch" / "j" / "jane.doe" / "base"
    stage_outputs.finetuned(place, tokenizer_folder, traces)
    folder = stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces, model=str(place), model_folder=place)
    run("push", "model", "run", "--repo-id", "acme/agent", "--base-model", "acme/tiny-base", *LICENSE, "--traces", "traces",
        "--yes")  # fmt: skip
    content = b"".join(files_of(hub, "acme/agent").values())
    assert b"jane.doe" not in content and str(tmp_path).encode() not in content
    published = json.loads(files_of(hub, "acme/agent")["manifest.json"])
    assert published["config"]["model"] == "model" and published["inputs"]["model"]["name"] == "model"
    assert manifest.verify(folder) == []


def test_the_adapter_folder_of_a_run_goes_alone(hub: Hub, run, traces: Path, tokenizer_folder, tmp_path: Path) -> None:
    folder = stage_outputs.finetuned(tmp_path / "run", tokenizer_folder, traces, rank=2)
    (folder / "checkpoint-4" / "manifest.json").unlink()
    (folder / "checkpoint-4").rename(folder / "adapter")
    content = manifest.read(folder)
    (folder / "manifest.json").unlink()
    manifest.write(folder, "sft", inputs={"dataset": traces}, config=content["config"], counts=content["counts"])
    push = ("push", "model", "run/adapter", "--repo-id", "acme/lora", *LICENSE, "--traces", "traces", "--yes")
    run(*push)
    files = files_of(hub, "acme/lora")
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "acme/tiny-base"
    assert ModelCard(files["README.md"].decode()).data.base_model_relation == "adapter"
    run("download", "acme/lora", "-o", "copy")
    assert manifest.verify(tmp_path / "copy") == []
    config = folder / "adapter" / "adapter_config.json"
    config.write_text(f"{config.read_text()}\n")
    assert "adapter_config.json was changed since it was written" in run(*push, ok=False).stdout
