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
    benchmark = load("gpu")
    benchmark.write_model(tmp_path / "model", "toy")
    benchmark.write_rows(tmp_path, 60, 20, 4, spread=False)
    for lora in (False, True):
        ours, trl = (benchmark.one_side(side, tmp_path, toy=True, lora=lora) for side in ("ours", "trl"))
        assert ours["row"] == trl["row"] > 80 and ours["tokens_per_s"] > 0 and trl["tokens_per_s"] > 0
        assert not ours["checkpointing"] and trl["checkpointing"] and ours["estimate_gb"] > 0

    scored = benchmark.likelihood(tmp_path / "likelihood", "toy", toy=True)
    assert scored["rows"] == 8 and scored["rows_per_s"] > 0

    def part(name: str, *_: object) -> dict:
        if name == "merge":
            raise RuntimeError("no disk")
        return {"rows": 1}

    monkeypatch.setattr(benchmark, "run_part", part)
    out = tmp_path / "lines.jsonl"
    monkeypatch.setattr("sys.argv", ["gpu.py", "--toy", "--out", str(out), "--part", "merge", "--part", "likelihood"])
    benchmark.main()
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert first["part"] == "merge" and first["failed"] == "RuntimeError: no disk" and second["rows"] == 1
