"""A sweep is its single merges, made together; finished ones are kept, and made again when an input changes."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.merging import api
from agentmerge_hub.merging.command import _show
from agentmerge_hub.merging.dry_run import estimate, most_on_disk
from agentmerge_hub.merging.merge import merge_one
from agentmerge_hub.merging.merge_job import MergeJob, MergeSettings
from agentmerge_hub.merging.specs import spec as specs
from agentmerge_hub.merging.sweep import SweepResult, checkpoints_of, grid, lambdas_of, sweep
from agentmerge_hub.merging.sweep_scores import Scoring
from agentmerge_hub.package_data import data_folder


@pytest.fixture
def spec(here: Path) -> specs.Spec:
    for step, scale in ((640, 1.0), (5120, 0.5)):
        out = Path(f"run/checkpoint-{step}")
        out.parent.mkdir(exist_ok=True)
        Path("agent").rename(out) if step == 640 else subprocess.run(
            ["cp", "-r", "run/checkpoint-640", out], check=True
        )
        weights = load_file(out / "model.safetensors")
        save_file({k: v * scale for k, v in weights.items()}, out / "model.safetensors", metadata={"format": "pt"})
        manifest.write(out, "train", config={"samples_seen": step, "learning_rate": 1e-5, "seed": 3})
    recipe = specs.read(data_folder("recipes") / "merge" / "agentmerge.yml")
    return specs.with_values(recipe, {"base": "./base", "instruct": "./instruct"}, "spec")


def swept(
    spec: specs.Spec, out: str, lambdas: list[float], checkpoints: list[str], **options: object
) -> list[SweepResult]:
    points = grid(spec, "spec", Path(out), lambdas, checkpoints)
    return sweep(points, Path(out), MergeSettings(reply=False), **options)


def test_a_sweep_is_its_single_merges(spec: specs.Spec) -> None:
    checkpoints = checkpoints_of(["run/checkpoint-*"])
    assert checkpoints == ["run/checkpoint-640", "run/checkpoint-5120"]
    points = swept(spec, "merged", lambdas_of("0.2:0.8:0.3"), checkpoints)
    assert [point.out.name for point in points] == [
        f"checkpoint-{step}-lambda-{value}" for step in (640, 5120) for value in (0.2, 0.5, 0.8)
    ]
    assert {point.state for point in points} == {"made"}
    one = specs.with_values(spec, {"agent": "./run/checkpoint-5120", "lambda": "0.8"}, "spec")
    merge_one(MergeJob(one, Path("one"), "spec"), MergeSettings(reply=False))
    assert Path("one/model.safetensors").read_bytes() == (points[-1].out / "model.safetensors").read_bytes()
    config = manifest.read(points[0].out)["config"]
    assert (config["samples_seen"], config["learning_rate"], config["seed"], config["lambda"]) == (640, 1e-5, 3, 0.2)


def test_a_finished_merge_is_kept_and_made_again_when_an_input_changes(spec: specs.Spec) -> None:
    def states(lambdas: str) -> list[str]:
        return [point.state for point in swept(spec, "merged", lambdas_of(lambdas), ["run/checkpoint-640"])]

    assert states("0.2,0.4") == ["made", "made"]
    inode = Path("merged/checkpoint-640-lambda-0.2/model.safetensors").stat().st_ino
    assert states("0.2,0.4,0.6") == ["kept", "kept", "made"]
    assert Path("merged/checkpoint-640-lambda-0.2/model.safetensors").stat().st_ino == inode
    weights = load_file("instruct/model.safetensors")
    save_file({k: v * 2 for k, v in weights.items()}, "instruct/model.safetensors", metadata={"format": "pt"})
    assert states("0.2") == ["made"]


def test_a_grid_is_read_as_it_is_written() -> None:
    assert lambdas_of("0.1:0.9:0.1") == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert lambdas_of("0.3") == [0.3]
    for wrong in ("a", "0.1:0.9"):
        with pytest.raises(UserError, match="FIRST:LAST:STEP"):
            lambdas_of(wrong)
    for wrong, says in (
        ("0.9:0.1:0.1", "the first λ is larger than the last: write 0.1:0.9:0.1"),
        ("0:1:0", "the step is 0: give one above 0"),
        ("0:1:0.00001", "more than 10,000 values: give a larger step"),
    ):
        with pytest.raises(UserError, match=f"--lambda {wrong}: .*{says}"):
            lambdas_of(wrong)
    for pattern in ("nowhere/checkpoint-*", "a**"):
        with pytest.raises(UserError, match="no such folder"):
            checkpoints_of([pattern])


def test_a_folder_with_the_letters_of_a_pattern_is_taken_by_its_name(tmp_path: Path) -> None:
    for name in ("[1] a*/checkpoint-2", "[1] a*/checkpoint-10", "1 ab/checkpoint-3"):
        (tmp_path / name).mkdir(parents=True)
    wanted = [str(tmp_path / "[1] a*" / name) for name in ("checkpoint-2", "checkpoint-10")]
    assert checkpoints_of([f"{tmp_path}/[1] a*/checkpoint-*"]) == wanted
    assert checkpoints_of([wanted[1]]) == wanted[1:]
    (tmp_path / "checkpoint-²").mkdir()  # a digit to Unicode, and no number
    assert checkpoints_of([f"{tmp_path}/checkpoint-*"]) == [str(tmp_path / "checkpoint-²")]


def test_the_command_takes_an_unquoted_pattern_and_ends_with_a_table(spec: specs.Spec) -> None:
    Path("spec.yml").write_text(spec.text)
    command = [
        Path(sys.executable).with_name("agentmerge"),
        "sweep",
        "spec.yml",
        "-o",
        "merged",
        "--lambda",
        "0.5",
        "--no-reply",
    ]
    command += ["--checkpoints", "run/checkpoint-640", "run/checkpoint-5120"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "checkpoint-5120" in done.stdout and done.stdout.count("made") == 2
    wrong = subprocess.run([*command[:4], "elsewhere"], capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr.startswith("Error: nothing to sweep over")


def test_a_bad_and_an_unfinished_checkpoint_leave_the_other_merges(spec: specs.Spec) -> None:
    shutil.copytree("run/checkpoint-640", "run/checkpoint-7000")
    Path("run/checkpoint-7000/config.json").unlink()
    weights = load_file("run/checkpoint-5120/model.safetensors")
    weights["model.norm.weight"][2] = float("nan")
    save_file(weights, "run/checkpoint-5120/model.safetensors", metadata={"format": "pt"})
    checkpoints = checkpoints_of(["run/checkpoint-*"])
    results = swept(spec, "merged", [0.3, 0.5], checkpoints)
    assert [result.state for result in results[:2]] == ["made", "made"]
    assert all("model.norm.weight of ./run/checkpoint-5120 holds values" in result.state for result in results[2:4])
    assert all("skipped: run/checkpoint-7000 has no config.json" in result.state for result in results[4:])
    assert {path.name for path in Path("merged").iterdir()} == {
        "checkpoint-640-lambda-0.3",
        "checkpoint-640-lambda-0.5",
    }


def test_a_merge_by_mergekit_appears_and_is_scored_when_it_is_done(spec: specs.Spec) -> None:
    """The evaluation of each prints the number of merges on the disk."""
    script = "import pathlib, sys; print(len(list(pathlib.Path(sys.argv[1]).parent.glob('lambda-*/manifest.json'))))"
    one = specs.with_values(spec, {"agent": "./run/checkpoint-640"}, "spec")
    one = specs.parse(one.text.replace("dtype: float32", "dtype: float16"), "spec")
    results = swept(one, "grid", [0.3, 0.7], [], scoring=Scoring(f"{sys.executable} -c {shlex.quote(script)}"))
    assert [(result.state, result.score) for result in results] == [("made", 1), ("made", 2)]


def test_a_merge_of_a_merge_is_made_again_when_the_first_changes(spec: specs.Spec) -> None:
    """The first merge has a manifest of its own: what it says of its weights is not believed."""
    one = specs.with_values(spec, {"agent": "./run/checkpoint-640"}, "spec")
    merge_one(MergeJob(one, Path("first"), "spec"), MergeSettings(reply=False))
    second = specs.with_values(spec, {"agent": "./first"}, "spec")

    def state() -> str:
        (result,) = swept(second, "grid", [0.5], [])
        return result.state

    assert (state(), state()) == ("made", "kept")
    weights = load_file("first/model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, "first/model.safetensors", metadata={"format": "pt"})
    assert state() == "made"
    Path("grid/lambda-0.5/model.safetensors").write_bytes(b"damaged")
    assert state() == "made"


def test_a_sweep_does_not_replace_its_own_checkpoints(spec: specs.Spec) -> None:
    before = Path("run/checkpoint-640/model.safetensors").read_bytes()
    (result,) = swept(spec, "run", [], ["run/checkpoint-640"])
    assert "run/checkpoint-640" in result.state and result.state not in ("made", "kept")
    assert Path("run/checkpoint-640/model.safetensors").read_bytes() == before


def test_only_the_best_merge_stays_and_scored_ones_are_not_made_again(spec: specs.Spec) -> None:
    """The score is λ itself, read from the merge; the log counts evaluations."""
    script = "import json, pathlib, sys; f = pathlib.Path(sys.argv[1]); n = len(list(f.parent.glob('lambda-*'))); "
    script += "print(n, sum(p.stat().st_size for p in f.parent.rglob('*.safetensors')), file=open('log', 'a')); "
    script += "print('scored'); "
    script += "print(json.loads((f / 'manifest.json').read_text())['config']['lambda'])"
    one = specs.with_values(spec, {"agent": "./run/checkpoint-640"}, "spec")

    def run(lambdas: list[float], command: str = f"{sys.executable} -c {shlex.quote(script)}") -> list[tuple]:
        scoring = Scoring(command, keep="best")
        found = swept(one, "grid", lambdas, [], at_once=1, scoring=scoring)
        return [(result.state, result.score) for result in found]

    assert run([0.3, 0.7, 0.5]) == [("made", 0.3), ("made", 0.7), ("made", 0.5)]
    on_disk = [tuple(map(int, line.split())) for line in Path("log").read_text().splitlines()]
    assert [count for count, _ in on_disk] == [1, 2, 2]  # merges at each evaluation
    costs = [estimate(point.job, MergeSettings(), 500) for point in grid(one, "spec", Path("new"), [0.3, 0.7, 0.5], [])]
    headers = 2 * 4000
    assert most_on_disk(costs, 1, "best") <= max(size for _, size in on_disk) < most_on_disk(costs, 1, "best") + headers
    assert most_on_disk(costs, None, "best") == most_on_disk(costs, 1, "all") == 3 * costs[0].written
    assert [path.name for path in sorted(Path("grid").iterdir())] == ["lambda-0.7", "scores.json"]
    Path("grid/.lambda-0.3.0123abcd.partial").mkdir()  # of a run that was killed while it deleted the merge
    assert run([0.3, 0.7, 0.5, 0.9]) == [("scored earlier", 0.3), ("kept", 0.7), ("scored earlier", 0.5), ("made", 0.9)]
    assert [path.name for path in sorted(Path("grid").iterdir())] == ["lambda-0.9", "scores.json"]
    size = sum(path.stat().st_size for path in Path("grid/lambda-0.9").iterdir())
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(2.5 * size)}", "tmpfs", "grid"]).returncode == 0:
        try:  # two merges fit on the disk: the others follow where one is deleted
            scoring = Scoring(f"{sys.executable} -c {shlex.quote(script)}", keep="best")
            found = swept(one, "grid", [0.3, 0.5, 0.7], [], scoring=scoring)
            assert [(result.state, result.score) for result in found] == [("made", 0.3), ("made", 0.5), ("made", 0.7)]
            assert not Path("grid/lambda-0.3").exists() and Path("grid/lambda-0.7").is_dir()
        finally:
            subprocess.run(["umount", "grid"], check=True)
    other = f"{sys.executable} -c 'print(2)'"
    assert run([0.5, 0.9], other) == [("made", 2), ("kept", 2)]  # scores of another command are none of this one
    assert run([0.5, 0.9], other) == [("kept", 2), ("scored earlier", 2)]
    ((state, score),) = run([0.1], "false")
    assert state.startswith("not scored: --evaluate false: it failed") and score is None
    assert Path("grid/lambda-0.1").is_dir()


@pytest.mark.parametrize(
    ("command", "said"), [("python 'score.py", "no closing quotation"), (" ", "--evaluate is empty")]
)
def test_a_command_that_is_none_is_refused_before_the_first_merge(spec: specs.Spec, command: str, said: str) -> None:
    Path("spec.yml").write_text(spec.text)
    with pytest.raises(UserError, match=said):
        api.sweep("spec.yml", "grid", [0.3], evaluate=command)
    assert not Path("grid").exists()


def test_a_reply_of_a_merged_model_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    _show([SweepResult(Path("out/[a]"), None, 0.5, "made", reply="[/b] \x1b[2J")])
    printed = capsys.readouterr().out
    assert "out/[a]" in printed and "[/b] \\x1b[2J" in printed and "\x1b" not in printed
