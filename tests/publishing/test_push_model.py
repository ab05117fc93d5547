"""A merged model reaches the Hub with a card that tells what it is, and comes back through transformers."""

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
import stage_outputs
import yaml
from hub_server import Hub
from huggingface_hub import ModelCard, parse_eval_result_entries
from license_copies import license_copy

from agentmerge_hub import manifest
from agentmerge_hub.agents.weights import weights_hash
from agentmerge_hub.files import content_hash
from agentmerge_hub.publishing.review.decisions import STRUCK, Decisions
from agentmerge_hub.publishing.review.rows import iterate_rows

PUSH = (
    "push",
    "model",
    "merged",
    "--repo-id",
    "acme/tiny-agentmerge",
    "--base-model",
    "acme/tiny-base",
    "--base-model",
    "acme/tiny-instruct",
)
MORE = ("--license", "apache-2.0", "--traces", "traces")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("model")
    stage_outputs.merged(folder / "merged", tokenizer_folder, stage_outputs.dataset(folder / "traces"))
    return folder


@pytest.fixture
def merged(made_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
    return tmp_path / "merged"


def remade(folder: Path) -> None:
    """Write the manifest anew after a change, as if the stage had made it so."""
    content = manifest.read(folder)
    (folder / "manifest.json").unlink()
    manifest.write(folder, "merge", config=content["config"], counts=content["counts"])
    fresh = manifest.read(folder)
    (folder / "manifest.json").write_text(json.dumps({**fresh, "inputs": content["inputs"]}))


def test_the_card_tells_all_and_huggingface_hub_accepts_it(hub: Hub, run, merged: Path) -> None:
    outcomes = {("inter_task", f"t{t}", s): float((t + s) % 2) for t in range(3) for s in range(4)}
    outcomes |= {("cross_task", f"u{t}", s): float(t < 2) for t in range(4) for s in range(2)}
    outcomes |= {("cross_task", "u4", 0): "crashed", ("cross_task", "u4", 1): "missing"}
    stage_outputs.results(merged.parent / "results", weights_hash(merged), outcomes)
    run(*PUSH, *MORE, "--dataset", "acme/workarena-traces", "--results", "results", "--yes")
    assert run("download", "acme/tiny-agentmerge", "-o", "copy").stderr == ""  # .eval_results is in the manifest
    files = hub.store.repos["model", "acme/tiny-agentmerge"].resolve("v1.0.0").files
    card = ModelCard(files["README.md"].content.decode())
    data = card.data.to_dict()
    assert data["base_model"] == ["acme/tiny-base", "acme/tiny-instruct"] and data["base_model_relation"] == "merge"
    assert data["license"] == "apache-2.0" and data["datasets"] == ["acme/workarena-traces"]
    assert data["library_name"] == "transformers" and {"merge", "mergekit"} <= set(data["tags"])
    cross, inter = data["model-index"][0]["results"]
    assert cross["dataset"]["split"] == "cross_task" and inter["dataset"]["split"] == "inter_task"
    metric = cross["metrics"][0]
    assert metric["value"] == 0.5
    # Four tasks of two episodes each, half of them solved: √(4/3 · Σ (2 · ½)²) / 8.
    assert metric["args"] == {
        "n": 8,
        "tasks": 4,
        "crashed": 1,
        "missing": 1,
        "standard_error": pytest.approx((4 / 3 * 4) ** 0.5 / 8, abs=1e-4),
        "standard_error_over": "new tasks",
    }
    entries = {name: parse_eval_result_entries(yaml.safe_load(file.content)) for name, file in files.items() if name[0] == "." and name.endswith(".yaml")}  # fmt: skip
    assert set(entries) == {f".eval_results/miniwob_{split}_Advanced.yaml" for split in ("cross_task", "inter_task")}
    (entry,) = entries[".eval_results/miniwob_cross_task_Advanced.yaml"]
    assert (entry.dataset_id, entry.task_id, entry.value) == ("acme/workarena-traces", "cross_task", metric["value"])
    finished = manifest.read(merged.parent / "results")["run"]["finished"]
    assert datetime.fromisoformat(entry.date) == datetime.fromisoformat(finished)
    assert f"standard error {metric['args']['standard_error']} over new tasks, n = 8 episodes of 4" in entry.notes
    assert entry.source_url.endswith("/acme/tiny-agentmerge")
    shown = (*PUSH, *MORE, "--results", "results", "--benchmark")
    assert "have no scores of workarena" in run(*shown, "workarena=acme/x", ok=False).stderr
    assert ".eval_results/miniwob_cross_task_Advanced.yaml" in run(*shown, "miniwob=acme/board").stdout
    for told in ("base + λ·(agent − base)", "λ = 0.4", "mergekit 0.1.5", "| agent | agent |", "`sft` from dataset"):
        assert told in card.text
    assert weights_hash(merged) in card.text and "base_model: base # base" in card.text


def test_transformers_loads_it_and_its_manifest_holds(run, merged: Path) -> None:
    run(*PUSH, *MORE, "--yes")
    run(
        code="""
from pathlib import Path
from huggingface_hub import snapshot_download
from transformers import AutoModelForCausalLM, AutoTokenizer
from agentmerge_hub import manifest
folder = Path(snapshot_download("acme/tiny-agentmerge", revision="v1.0.0"))
assert manifest.verify(folder) == [".gitattributes is not in the manifest"]
tokenizer = AutoTokenizer.from_pretrained("acme/tiny-agentmerge")
model = AutoModelForCausalLM.from_pretrained("acme/tiny-agentmerge", revision="v1.0.0", dtype="auto")
ids = tokenizer.apply_chat_template([{"role": "user", "content": "Go"}], return_tensors="pt", return_dict=True)
assert model.generate(**ids, max_new_tokens=2, do_sample=False).shape[1] > ids["input_ids"].shape[1]
"""
    )


def test_nothing_new_makes_no_commit_and_the_folder_stays_as_it_is(hub: Hub, run, merged: Path) -> None:
    before = content_hash.folder_hash(merged)
    run(*PUSH, *MORE, "--yes")
    assert "nothing new" in run(*PUSH, *MORE, "--yes").stdout
    assert len(hub.store.repos["model", "acme/tiny-agentmerge"].history()) == 2
    assert manifest.verify(merged) == [] and content_hash.folder_hash(merged) == before
    assert (merged / "README.md").read_text() == "a card that mergekit wrote"


def refusal(run, *arguments: str) -> str:
    failed = run(*arguments, "--yes", ok=False)
    assert failed.returncode == 1 and "Traceback" not in failed.stderr
    return failed.stdout + failed.stderr


def test_a_llama_keeps_its_license_and_name(hub: Hub, run, merged: Path) -> None:
    models = "meta-llama/Meta-Llama-3-8B", "meta-llama/Meta-Llama-3-8B-Instruct"
    llama = (*PUSH[:5], "--base-model", models[0], "--base-model", models[1], "--traces", "traces")
    told = refusal(run, *llama)
    assert "requires a model name that starts with 'Llama 3'" in told and "--license-file" in told
    assert hub.store.repos == {}
    named = ("push", "model", "merged", "--repo-id", "acme/Llama-3-8B-AgentMerge", *llama[5:])
    (merged.parent / "license.txt").write_text("Meta Llama 3 Community License")
    assert "requires a copy of its complete text" in refusal(run, *named, "--license-file", "license.txt")
    terms = license_copy("llama3")
    (merged.parent / "license.txt").write_text(terms)
    run(*named, "--license-file", "license.txt", "--yes")
    files = hub.store.repos["model", "acme/Llama-3-8B-AgentMerge"].resolve("main").files
    card = files["README.md"].content.decode()
    assert ModelCard(card).data.license == "llama3" and "**Built with Meta Llama 3.**" in card
    assert "https://www.llama.com/llama3/use-policy/" in card
    assert files["LICENSE"].content.decode() == terms
    assert files["NOTICE"].content.decode().splitlines() == [
        "Meta Llama 3 is licensed under the Meta Llama 3 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved.",
        f"These weights were modified from those of {', '.join(models)}: see README.md.",
    ]


def test_teachers_terms_go_with_the_model(hub: Hub, run, merged: Path, tmp_path: Path) -> None:
    teacher = {"teacher": "mistralai/Mistral-Large-Instruct-2407", "license": "mistral-research-license"}
    terms = "https://mistral.ai/licenses/MRL-0.1.md"
    stage_outputs.dataset(tmp_path / "other", [stage_outputs.sample(n, **teacher) for n in range(4)])
    assert "is not the dataset it was trained on" in refusal(run, *PUSH, "--license", "mit", "--traces", "other")
    content = manifest.read(merged)
    content["inputs"]["agent"]["inputs"]["dataset"]["sha256"] = content_hash.folder_hash(tmp_path / "other")
    (merged / "manifest.json").write_text(json.dumps(content))
    run(*PUSH, "--license", "mit", "--traces", "other", "--yes")
    files = hub.store.repos["model", "acme/tiny-agentmerge"].resolve("main").files
    data = ModelCard(files["README.md"].content.decode()).data
    assert (data.license, data.license_name, data.license_link) == ("other", "mistral-research-license", terms)


def test_a_struck_row_is_no_example_of_the_card(run, merged: Path) -> None:
    assert "## Prompt" in run(*PUSH, *MORE).stdout
    traces = merged.parent / "traces"
    Decisions(traces).record(next(row for row, _ in iterate_rows(traces)), STRUCK)
    said = run(*PUSH, *MORE).stdout
    assert "The card shows no row of traces: " in said and "rows that were struck are still in it" in said
    assert "Press button" not in said


def test_what_is_missing_is_asked_for(run, merged: Path) -> None:
    told = refusal(run, *PUSH[:5])
    assert (
        "name it with --base-model ORG/NAME" in told
        and "it learned from traces: pass --traces with that dataset's folder" in told
    )
    content = manifest.read(merged)
    del content["inputs"]["agent"]["stage"], content["inputs"]["agent"]["inputs"]
    (merged / "manifest.json").write_text(json.dumps(content))
    assert "data that the lineage of agent, base, instruct does not name" in refusal(run, *PUSH[:5])
    assert "the license of acme/tiny-base is not known here" in refusal(run, *PUSH, "--traces", "traces")


def test_traces_are_a_built_dataset(run, merged: Path) -> None:
    assert "merged was written by `merge`: give the dataset" in refusal(run, *PUSH, "--traces", merged)
    (merged.parent / "recorded").mkdir()
    assert "recorded is not the finished output of a stage" in refusal(run, *PUSH, "--traces", "recorded")


def test_weights_that_are_not_safe_or_not_whole_stay_here(hub: Hub, run, merged: Path) -> None:
    (merged / "pytorch_model.bin").write_bytes(b"\x80\x04pickle")
    remade(merged)
    assert "pytorch_model.bin is a pickle or can hold code" in refusal(run, *PUSH, *MORE)
    (merged / "pytorch_model.bin").unlink()
    kept = (merged / "tokenizer.json").rename(merged.parent / "tokenizer.json")
    remade_without = refusal(run, *PUSH, *MORE)
    assert (
        "pytorch_model.bin is missing" in remade_without
        and "tokenizer.json is missing: run the stage" in remade_without
    )
    kept.rename(merged / "tokenizer.json")
    remade(merged)
    weights = (merged / "model.safetensors").read_bytes()
    (merged / "model.safetensors").write_bytes(weights[:-100])
    assert "model.safetensors was changed since it was written" in refusal(run, *PUSH, *MORE)
    remade(merged)
    told = refusal(run, *PUSH, *MORE)
    assert "model.safetensors" in told and hub.store.repos == {}


def test_scores_of_another_model_do_not_count(run, merged: Path) -> None:
    stage_outputs.results(merged.parent / "results", "0" * 64, {("inter_task", "t", 0): 1.0})
    assert "has no episodes of these weights" in refusal(run, *PUSH, *MORE, "--results", "results")
