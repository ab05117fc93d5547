"""The experiments: no tuning on what is reported, scripts that do what their first lines say, and pages that match the data."""

import csv
import importlib.util
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from datasets import load_dataset
from safetensors.torch import load_file, save_file

from agentmerge_hub import manifest
from agentmerge_hub.agents.recipes.recipe import Recipe, read
from agentmerge_hub.agents.study.plan import plan
from agentmerge_hub.analysis import comparison_table, selection
from agentmerge_hub.analysis import episodes as episode_tables
from agentmerge_hub.analysis.common_episodes import shared_episodes
from agentmerge_hub.analysis.planning import plan_file
from agentmerge_hub.analysis.report.verdicts import p_text, points
from agentmerge_hub.package_data import data_folder
from agentmerge_hub.prompt import parse, tree_bids
from agentmerge_hub.records import RESULT_SCHEMA
from agentmerge_hub.training import arguments

HERE = data_folder("recipes") / "experiments" / "miniwob-cpu"
PREPARED = HERE.with_name("miniwob-270m")
NO_DATA = {
    f"miniwob.{task}"
    for task in (
        "click-collapsible-2", "click-collapsible-2-nodelay", "click-shades", "identify-shape", "multi-layouts",
        "multi-orderings", "navigate-tree", "search-engine",
    )
}  # fmt: skip
"""Tasks that λ and the learning rate are chosen on, and nothing else is."""


def episodes(path: Path) -> set[tuple[str, int]]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["candidates"] = [{"name": "model", "model": "model"}]
    planned = plan(Recipe.model_validate(content), hashed=False)
    return {(episode.run.env_args.task_name, episode.run.env_args.task_seed) for episode in planned.episodes}


def test_nothing_is_chosen_on_what_is_reported_or_collected() -> None:
    chosen, reported = episodes(HERE / "validation.yaml"), episodes(HERE / "reported.yaml")
    collected = {
        (e.run.env_args.task_name, e.run.env_args.task_seed)
        for e in plan(read(data_folder("recipes") / "collect" / "miniwob.yaml")).episodes
    }
    assert (len(chosen), len(reported)) == (16, 156)
    assert not {task for task, _ in chosen} & {task for task, _ in reported}
    assert not {seed for _, seed in chosen} & {seed for _, seed in reported}
    assert not {seed for _, seed in chosen | reported} & {seed for _, seed in collected}
    assert {task for task, _ in chosen | reported} <= {task for task, _ in collected}


def script_module(name: str) -> ModuleType:
    """A script of the prepared experiment as a module."""
    spec = importlib.util.spec_from_file_location(name, PREPARED / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # for its dataclasses
    spec.loader.exec_module(module)
    return module


def test_pages_made_by_chance_have_the_elements_that_their_answers_name() -> None:
    grounding = script_module("grounding")
    words = [f"word{letter}" for letter in "abcdefghijklmnop"]
    for mistakes, fewest, most in ((0, 10, 60), (1, 200, 200)):
        rows, again = (
            [grounding.make_row(draw, words, mistakes) for _ in range(200)]
            for draw in (random.Random(3), random.Random(3))
        )
        assert rows == again
        with_history = with_error = 0
        for row in rows:
            page = row["prompt"][-1]["content"].partition("# Action space")[0]
            calls = parse(row["completion"][0]["content"], grounding.FLAGS).action.splitlines()
            named = {match[1] for call in calls if (match := re.match(r"\w+\('(\d+)'", call))}
            bids = tree_bids(page.partition("## AXTree:\n")[2].partition("\n\n")[0])
            assert named <= bids and (named or calls == ["noop()"])
            history = page.partition("# History")[2]
            with_history += "## Step 0" in history
            last = history.rpartition("## Step ")[2]
            if mistakes:  # its last step is none of those that are asked for, and an error names why it did nothing
                assert not any(call in last.splitlines() for call in calls)
                (bid,) = re.findall(r"(?:click|fill)\('(\d+)'", last)
                assert (bid in bids) == ("Could not find element" not in last)
                assert ("## Error from previous action" in page) == ("Error: " in last)
                with_error += "Error: " in last
            else:
                assert "Error: " not in page
        assert fewest <= with_history <= most
        assert not mistakes or 50 < with_error < 150


def test_the_kept_instruct_model_is_what_its_recipe_trains() -> None:
    kept = PREPARED / "instruct-cpu"
    recipe = yaml.safe_load((PREPARED / "instruct-cpu.yaml").read_text(encoding="utf-8"))
    config = json.loads((kept / "adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"], config["target_modules"], config["base_model_name_or_path"]) == (
        recipe["lora_r"], recipe["lora_alpha"], recipe["lora_target_modules"], recipe["model_name_or_path"],
    )  # fmt: skip
    weights = load_file(kept / "adapter_model.safetensors")
    trained = {name.rpartition(".lora_")[0] for name in weights}
    assert len(trained) == 7 * 9 and len(weights) == 2 * len(trained)
    frozen = yaml.safe_load((PREPARED / "sft-cpu.yaml").read_text(encoding="utf-8"))["freeze"]
    assert not any(re.search(pattern, name) for pattern in frozen for name in trained)
    assert all(one.dtype == torch.bfloat16 and one.isfinite().all() and one.any() for one in weights.values())
    assert (kept / "NOTICE").is_file() and "4.9 No Waiver" in (kept / "GEMMA_TERMS.txt").read_text(encoding="utf-8")


def test_the_prepared_experiment_chooses_and_trains_on_nothing_that_it_will_report() -> None:
    gate, chosen = episodes(PREPARED / "gate.yaml"), episodes(PREPARED / "validation.yaml")
    instruct, agent = (episodes(PREPARED / f"collect-{name}.yaml") for name in ("instruct", "agent"))
    unseen = {task for task, seed in gate if seed == 900}
    assert (len(unseen), len(instruct), len(agent)) == (63, 1360, 1600)
    assert not unseen & {task for task, _ in instruct | agent | chosen}
    assert not {task for task, _ in instruct} & {task for task, _ in agent}
    assert not (gate | chosen) & (instruct | agent)
    reported = [episodes(PREPARED / f"{name}.yaml") for name in ("primary", "others", "kept")]
    assert reported[0] == reported[1] == {(task, seed) for task in unseen for seed in (1000, 1001)}
    assert {task for task, _ in reported[2]} == {task for task, _ in gate | chosen} - unseen - NO_DATA
    assert not (reported[0] | reported[2]) & (gate | chosen | instruct | agent)
    assert episodes(PREPARED / "lambda.yaml") == chosen
    subprocess.run(["bash", "-n", str(PREPARED / "run.sh")], check=True)


def test_the_prepared_experiment_has_one_agent_and_the_plan_of_its_episodes() -> None:
    studies = [
        yaml.safe_load((PREPARED / f"{name}.yaml").read_text(encoding="utf-8"))
        for name in ("gate", "validation", "lambda", "primary", "others", "kept")
    ]
    settings = [{key: study[key] for key in study.keys() - {"name", "candidates", "episodes"}} for study in studies]
    assert all(one == settings[0] for one in settings)
    registered = plan_file.read(PREPARED / "plan.yml")
    assert (registered.tasks * registered.seeds, registered.runs) == (len(episodes(PREPARED / "primary.yaml")), 8)


@pytest.mark.parametrize(("name", "batch"), [("instruct", 64), ("instruct-cpu", 16), ("sft", 16), ("sft-cpu", 8)])
def test_recipes_of_both_grids_are_read(name: str, batch: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = [] if "instruct" in name else ["--model_name_or_path", "models/base", "--output_dir", "runs/agent"]
    run = arguments.parse_args(["--config", str(PREPARED / f"{name}.yaml"), *given, "--use_cpu", "true"])
    frozen = [] if name == "instruct-cpu" else ["embed_tokens"] + [r"layers\.[0-8]\."] * name.endswith("cpu")
    assert run.options.freeze == frozen  # the adapter of instruct-cpu is in the upper ones alone
    assert run.sft.per_device_train_batch_size * run.sft.gradient_accumulation_steps == batch
    assert run.sft.train_sampling_strategy == ("sequential" if "instruct" in name else "random")


def test_batches_have_rows_of_like_length_and_come_by_chance() -> None:
    mix = script_module("mix")
    lengths = random.Random(5).sample(range(900), 101)
    places = mix.batches(lengths, 8, random.Random(0))
    groups = [sorted(lengths[place] for place in places[first : first + 8]) for first in range(0, 96, 8)]
    ordered = sorted(lengths)[:96]  # the five longest fill no batch
    assert len(places) == 96 and sorted(groups) == [ordered[first : first + 8] for first in range(0, 96, 8)]
    assert groups != sorted(groups) != sorted(groups, reverse=True)


def published_results(path: Path, rows: list[dict]) -> Path:
    empty = dict.fromkeys(RESULT_SCHEMA.names)
    pq.write_table(pa.Table.from_pylist([empty | row for row in rows], RESULT_SCHEMA), path)
    return path


def run_script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(PREPARED / name), *map(str, arguments)]
    return subprocess.run(script, capture_output=True, text=True)


def test_the_gate_stops_the_experiment_unless_both_shares_are_reached(tmp_path: Path) -> None:
    def rows(own: int, unseen: int) -> list[dict]:
        solved = [("inter_task", number < own) for number in range(10)]
        solved += [("cross_task", number < unseen) for number in range(20)]
        return [{"split": split, "status": "done", "reward": float(is_solved)} for split, is_solved in solved]

    assert run_script("gate.py", published_results(tmp_path / "a.parquet", rows(6, 3))).returncode == 0
    for own, unseen in ((5, 3), (6, 2)):
        refused = run_script("gate.py", published_results(tmp_path / "b.parquet", rows(own, unseen)))
        assert refused.returncode == 1 and "the gate is not passed" in refused.stderr
        assert f"cross_task: {unseen} of 20 episodes" in refused.stdout


def test_the_best_setting_counts_crashes_as_unsolved_and_a_tie_goes_to_the_safer_one(tmp_path: Path) -> None:
    rows = [
        {"learning_rate": rate, "merge_lambda": value, "status": status, "reward": reward}
        for rate, value, status, reward in (
            (1e-4, 0.5, "done", 1.0),
            (1e-4, 0.5, "crashed", None),
            (3e-5, 0.7, "done", 1.0),
            (3e-5, 0.7, "done", 0.0),
        )
    ]
    table = published_results(tmp_path / "results.parquet", rows)
    chosen = [run_script("choose.py", table, setting).stdout for setting in ("learning_rate", "merge_lambda")]
    assert chosen == ["0.00003\n", "0.5\n"]


@pytest.mark.parametrize(
    ("p", "high", "decision"), [(0.001, 0.1, "stop: p"), (0.3, 0.02, "stop for futility"), (0.03, 0.1, "go on")]
)
def test_the_interim_look_follows_its_rule(tmp_path: Path, p: float, high: float, decision: str) -> None:
    comparisons = tmp_path / "comparisons.csv"
    comparisons.write_text(f"split,p,high\ncross_task,{p},{high}\n")
    assert run_script("look.py", comparisons, PREPARED / "plan.yml").stdout.startswith(decision)


def test_what_a_run_changed_is_stored_in_four_bits(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    before = {"a.weight": torch.randn(8, 128, generator=generator), "norm": torch.ones(64), "same": torch.ones(4, 64)}
    change = 0.01 * torch.randn(8, 128, generator=generator)
    for name, add in (("base", 0), ("run", 1)):
        weights = before | {"a.weight": before["a.weight"] + add * change, "norm": before["norm"] + add * 0.25}
        (tmp_path / name).mkdir()
        save_file(weights, tmp_path / name / "model.safetensors")
        manifest.write(tmp_path / name, "sft", config={"learning_rate": 1e-4, "method": "base_finetuned"})
    script = [sys.executable, str(PREPARED / "deltas.py")]
    subprocess.run([*script, "encode", "base", "run", "d.safetensors"], cwd=tmp_path, check=True)
    subprocess.run([*script, "decode", "base", "d.safetensors", "again"], cwd=tmp_path, check=True)
    again = load_file(tmp_path / "again" / "model.safetensors")
    assert torch.equal(again["norm"], before["norm"] + 0.25) and torch.equal(again["same"], before["same"])
    error = again["a.weight"] - before["a.weight"] - change
    assert 0 < error.norm() < 0.12 * change.norm()
    assert set(load_file(tmp_path / "d.safetensors")) == {"a.weight.levels", "a.weight.scale", "norm"}
    assert manifest.read(tmp_path / "again")["config"]["learning_rate"] == 1e-4


def test_both_studies_use_the_same_agent() -> None:
    one, other = (
        yaml.safe_load((HERE / name).read_text(encoding="utf-8")) for name in ("validation.yaml", "reported.yaml")
    )
    apart = {"name", "candidates", "episodes"}
    assert {key: one[key] for key in one.keys() - apart} == {key: other[key] for key in other.keys() - apart}


@pytest.mark.parametrize("name", ["sft.yaml", "instruct.yaml"])
def test_training_recipes_are_read(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    given = [] if name == "instruct.yaml" else ["--model_name_or_path", "models/base", "--output_dir", "runs/agent"]
    run = arguments.parse_args(["--config", str(HERE / name), *given])
    assert run.options.freeze == ["embed_tokens", r"layers\.[0-8]\."]
    assert run.sft.use_cpu


def test_the_run_file_is_sound() -> None:
    subprocess.run(["bash", "-n", str(HERE / "run.sh")], check=True)


def test_instructions_become_rows_in_both_layouts(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        json.dumps(
            [{"instruction": "Add.", "input": "1 + 1", "output": "2"}, {"instruction": "x", "input": "", "output": ""}]
        )
    )
    instances = [{"input": "", "output": "Hello."}, {"input": "in French", "output": "Bonjour."}]
    (tmp_path / "b.jsonl").write_text(json.dumps({"instruction": "Greet me.", "instances": instances}) + "\n")
    script = [sys.executable, str(PREPARED / "instruction_files.py"), "out", "a.json", "b.jsonl"]
    for _ in range(2):
        subprocess.run(script, cwd=tmp_path, check=True)
    rows = load_dataset(str(tmp_path / "out"), split="train")
    said = [(row["prompt"][0]["content"], row["completion"][0]["content"]) for row in rows]
    assert said == [("Add.\n\n1 + 1", "2"), ("Greet me.", "Hello."), ("Greet me.\n\nin French", "Bonjour.")]


def test_the_choice_takes_one_lambda_a_learning_rate_with_every_seed(tmp_path: Path) -> None:
    scores = {
        ("base-fine-tuned", 5e-5, None): 0.5, ("base-fine-tuned", 2e-4, None): 0.5,
        ("agentmerge", 5e-5, 0.3): 0.25, ("agentmerge", 5e-5, 0.5): 0.75, ("agentmerge", 2e-4, 0.7): 0.75,
    }  # fmt: skip
    rows, candidates = [], []
    for (method, rate, merge_lambda), score in scores.items():
        for seed in (0, 1):
            name = f"{method}-{rate:g}-{merge_lambda}-seed{seed}"
            candidates.append({"name": name, "method": method, "path": f"runs/{name}"})
            about = {
                "model": name,
                "method": method,
                "learning_rate": rate,
                "merge_lambda": merge_lambda,
                "run_seed": seed,
            }
            rows += [about | {"status": "done", "reward": float(number < 4 * score)} for number in range(4)]
    table = pa.Table.from_pylist(rows, schema=RESULT_SCHEMA)
    pq.write_table(table, tmp_path / "results.parquet")
    recipe = yaml.safe_load((HERE / "validation.yaml").read_text(encoding="utf-8")) | {"candidates": candidates}
    (tmp_path / "validation.yaml").write_text(yaml.safe_dump(recipe))
    assert chosen(tmp_path) == [
        "instruct",
        *(f"base-fine-tuned-5e-05-None-seed{seed}" for seed in (0, 1)),
        *(f"agentmerge-{setting}-seed{seed}" for setting in ("5e-05-0.5", "0.0002-0.7") for seed in (0, 1)),
    ]  # fmt: skip
    for name in ("checkpoint-9-agentmerge-5e-05-0.5-seed0", "base-fine-tuned-5e-05-None-seed0/checkpoint-9"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert chosen(tmp_path, "--more") == [
        "agentmerge-5e-05-0.3-seed0", "agentmerge-5e-05-0.3-seed1",
        "agentmerge-5e-05-0.5-seed0-checkpoint-9-agentmerge-5e-05-0.5-seed0",
    ]  # fmt: skip


def chosen(folder: Path, *options: str) -> list[str]:
    files = ["results.parquet", "validation.yaml", str(HERE / "reported.yaml")]
    command = [sys.executable, str(HERE / "chosen.py"), *options, *files]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return [candidate["name"] for candidate in yaml.safe_load(said)["candidates"]]


def test_the_page_shows_what_the_published_episodes_give() -> None:
    """comparisons.csv and the page's table are what `agentmerge analyse` computes from results/ today."""
    results = episode_tables.read([HERE / "results" / name for name in ("reported", "more", "validation")])
    candidates = selection.choose(results).candidates
    keys, _ = shared_episodes(results, candidates)
    computed = comparison_table.table(results, candidates, "agentmerge", keys, draws=200)
    with (HERE / "results" / "report" / "comparisons.csv").open(newline="") as file:
        published = list(csv.DictReader(file))
    page = (HERE / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"([+−][\d.]+) \(([+−][\d.]+) to ([+−][\d.]+)\), p [=<] ([.\d]+)", page)
    assert len(published) == len(computed) == len(shown) == 16
    for row, other in zip(computed, published):
        assert row["verdict"] == other["verdict"] == "these models"
        for name in ("difference", "low", "high", "p_holm"):
            assert row[name] == pytest.approx(float(other[name]))
        numbers = tuple(points(row[name]) for name in ("difference", "low", "high"))
        assert (*numbers, p_text(row["p_holm"])[2:]) in shown
