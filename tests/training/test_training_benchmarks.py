"""The training benchmarks measure what they say, seen at toy size on the CPU."""

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def benchmarks_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a benchmark is run as a script."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_sides_of_the_training_benchmark_train_the_same_tokens_once(tmp_path: Path) -> None:
    benchmark = load("train")
    benchmark.make_model(tmp_path / "model", toy=True)
    args = argparse.Namespace(rows=12, mean=40, toy=True, work=tmp_path, set=[])
    expected = sum(map(len, benchmark.rows(12, 40, benchmark.TOY_VOCABULARY)["input_ids"]))
    sides = {side: benchmark.one_run(side, args) for side in ("ours", "trl")}
    assert {side["tokens"] for side in sides.values()} == {expected}
    assert {side["steps"] for side in sides.values()} == {2}  # 12 rows, 8 a step
    args.set = ["num_train_epochs=2"]
    with pytest.raises(SystemExit, match="the ratio would be false"):
        benchmark.one_run("ours", args)


def test_the_gpu_benchmarks_sides_and_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    benchmark, training = load("gpu"), load("gpu_training")
    benchmark.write_model(tmp_path / "model", "toy")
    benchmark.write_rows(tmp_path, 60, 20, 8, spread=True)
    for lora in (False, True):
        ours, trl = (training.one_side(side, tmp_path, toy=True, lora=lora) for side in ("ours", "trl"))
        assert ours["row"] == trl["row"] > 80 and ours["tokens_per_s"] > 0 and trl["tokens_per_s"] > 0
        assert ours["recomputed_layers"] == 0 and trl["recomputed_layers"] == trl["layers"] == 2
        assert ours["estimate_gb"] > 0 and ("estimate_gb" in trl) is not lora  # LoRA's is of weights in bfloat16
    with monkeypatch.context() as small:
        small.setattr(training.memory_estimate, "available_memory", lambda: (0.0, "GPU"))
        assert training.one_side("ours", tmp_path, toy=True, lora=True)["recomputed_layers"] == 2
    exact = training.lora_exact(tmp_path, toy=True)["torch"]
    assert exact["bfloat16_equal"] and exact["recomputed_equal"] and len(exact["float32"]) == 4
    speeds = training.lengths(tmp_path, toy=True)
    assert min(speeds["cudnn"], speeds["without"], speeds["padded"]) > 0 and len(speeds["lengths"]) > 1
    packed = training.packed("sdpa", tmp_path, toy=True)
    assert ours["row"] < packed["pack"] <= 256 and packed["tokens_per_s"] > 0

    # Llama 3.2 1B: 973M weights in layers, 6 operations each; 262M in the tied head, at the labels only.
    config = load("gpu_inputs").model_config("1b")
    flops = training.flops_of_a_row(config, 1_235_814_400, 8192, 280, lora=False)
    attention = 6 * 16 * 2048 * 8192**2
    assert flops == 6 * (973_146_112 * 8192 + 262_668_288 * 280) + attention

    scored = benchmark.likelihood(tmp_path / "likelihood", "toy", toy=True)
    assert scored["rows"] == 8 and scored["rows_per_s"] > 0
    merged = benchmark.merge(tmp_path / "merge", "toy")
    assert merged["seconds"] > 0 and merged["gb_written"] > 0

    results = {"merge": {"failed": ["no disk"]}, "likelihood": {"rows": 1}}
    monkeypatch.setattr(benchmark, "in_a_process", lambda words, *_: dict(results[words[1]]))
    out = tmp_path / "lines.jsonl"
    monkeypatch.setattr("sys.argv", ["gpu.py", "--toy", "--out", str(out), "--part", "merge", "--part", "likelihood"])
    benchmark.main()
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert first["part"] == "merge" and first["failed"] == ["no disk"] and second["rows"] == 1


def test_a_part_that_takes_too_long_is_stopped_with_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = load("gpu")
    monkeypatch.setattr(benchmark, "__file__", "-c")
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    assert benchmark.in_a_process([script], False, 1.0) == {"failed": "not finished after 1 s"}
    assert benchmark.in_a_process(["print('{\"a\": 1}')"], False) == {"a": 1}
    assert benchmark.in_a_process(["print(1); raise SystemExit(3)"], False) == {"failed": ["1"], "exit_code": 3}
