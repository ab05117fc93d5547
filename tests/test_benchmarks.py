"""Benchmarks measure what they say: both sides do the same work, and figures count what was done."""

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from agentmerge_hub.records import RESULT_SCHEMA

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_the_build_benchmark_counts_the_tokens_of_every_row(
    tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTMERGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(BENCHMARKS)
    build = importlib.import_module("build")
    options = argparse.Namespace(tokenizer=str(tokenizer_folder), window=32_768)
    traces = build.write_traces(tmp_path, build.made_pages(4), [6, 12])
    build.build(traces, tmp_path / "out", options)
    rows = ds.dataset(list((tmp_path / "out/data/all").glob("*.parquet"))).to_table().to_pylist()
    assert len(rows) == 12
    counted = sum(row["n_prompt_tokens"] + row["n_completion_tokens"] for row in rows)
    assert build.bare_pass(tmp_path / "out", options.tokenizer)[0] == counted
    assert build.rows_alone(traces, options)[0] == counted


def test_the_merge_benchmark_compares_equal_models(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    command = [sys.executable, BENCHMARKS / "merge.py", "--work", tmp_path, "--hidden", "64", "--times", "1"]
    done = subprocess.run([*map(str, command), "--only", "single"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours, theirs, agent = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "kit", "agent"))
    assert ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)
    assert not all(ours[name].equal(agent[name]) for name in ours)
    assert "agentmerge merge --quick ÷ mergekit-yaml" in done.stdout and "the pass ÷ bare read and write" in done.stdout


def test_the_preferences_benchmark_compares_rates_by_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    preferences = importlib.import_module("preferences")
    folders = []
    for run_seed in range(3):
        rows = [
            dict.fromkeys(RESULT_SCHEMA.names)
            | {
                "benchmark": "miniwob", "task": f"miniwob.task-{task}", "seed": 1000, "split": "cross_task", "method": method,
                "model": method, "weights_hash": f"{method}-{run_seed}", "agent": "basic", "run_seed": run_seed, "status": "done",
                "reward": 1.0, "success": True, "answers": 4, "invalid_bid_actions": invalid + (task + run_seed) % 2,
                "copied_example_actions": 0,
            }
            for task in range(4)
            for method, invalid in ((preferences.BEFORE, 2), (preferences.AFTER, 0))
        ]  # fmt: skip
        folder = tmp_path / f"results-{run_seed}"
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(rows, RESULT_SCHEMA), folder / "results.parquet")
        folders.append(folder)
    heading, *lines = preferences.table(folders).splitlines()
    assert heading == "3 seeds, 24 episodes"
    invalid, copied, success = (next(line for line in lines if f"| {name} |" in line) for name in preferences.MEASURES)
    # Half of the episodes have 3 of 4 and 1 of 4 invalid answers, the others 2 of 4 and none.
    assert "| 0.625 (0.625 to 0.625) | 0.125 (0.125 to 0.125) | 0.20 | -0.500" in invalid
    assert "| 0.000 (0.000 to 0.000) | 0.000 (0.000 to 0.000) | – | +0.000 |" in copied
    assert "| 1.000 (1.000 to 1.000) | 1.000 (1.000 to 1.000) | 1.00 | +0.000 |" in success


@pytest.mark.browser
def test_the_episodes_benchmark_runs_the_same_episodes_on_both_sides() -> None:
    pytest.importorskip("agentlab")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import episodes; episodes.TASKS = ('click-test',)\n"
        "print(episodes.SIDES[sys.argv[2]](1, 2, 'sequential')['rewards'])"
    )
    rewards = [
        subprocess.run([sys.executable, "-c", code, BENCHMARKS, side], capture_output=True, text=True)
        for side in ("ours", "agentlab")
    ]
    assert [done.stdout.splitlines()[-1:] for done in rewards] == [
        ["{'miniwob.click-test 1': 1.0, 'miniwob.click-test 2': 1.0}"]
    ] * 2, [done.stderr[-500:] for done in rewards]
