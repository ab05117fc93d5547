"""User mistakes of `agentmerge build` are one sentence and change nothing; a build needs only the light packages."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from dataset_files import run
from made_traces import write_episode

from agentmerge_hub import manifest
from agentmerge_hub.errors import UserError
from agentmerge_hub.files import output_folder


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{empty}"], "no traces in"),
        (["{nowhere}"], "no folder"),
        (["{model}"], "model is a model folder, not one of traces: give the folder that `collect` wrote"),
        (["{dataset}"], "dataset is a dataset folder, not one of traces"),
        (["{traces}", "--tokenizer", "{empty}"], "no tokenizer at"),
        (["{traces}", "--chat-template-kwargs", "{{bad"], "^--chat-template-kwargs is '{bad': write a JSON object"),
        (["{traces}", "--window", "300", "--answer", "100"], "no sample is left .*does_not_fit"),
        (["{traces}", "--window", "100", "--answer", "100"], "leaves no prompt"),
        (["{traces}", "--min-reward", "2"], "no sample is left .*unsuccessful.* a lower --min-reward than 2 keeps"),
        (["{traces}", "--agent", "expert-advance"], "--agent expert-advance: .* e.g. expert-advanced"),
        (["{traces}", "--hold-out-task", "click-test"], "--hold-out-task click-test: .* e.g. miniwob.click-dialog"),
        (["{traces}", "--validation-task", "mine"], "--validation-task mine: no episode of the traces is of this task"),
        (
            ["{traces}", "--flag", "use_htm=true"],
            "--flag use_htm: rendered prompts have no such flag: use one of use_html",
        ),
        (
            ["{traces}", "--flag", "extract_coords=both"],
            "--flag extract_coords: 'both' should be 'False', 'center' or 'box'",
        ),
        (
            ["{traces}", "--flag", "extract_coords=box", "--rebuild-prompts"],
            "printed_otherwise dropped most .* the saved text of the page has other .*; --flag extract_coords=false keeps",
        ),
        (
            ["{traces}", "--flag", "filter_visible_elements_only=true", "--rebuild-prompts"],
            "printed_otherwise dropped most",
        ),
        (
            ["{traces}", "--flag", "use_history=true"],
            "--flag use_history: AgentLab's .* not applied here, remove it: use_action_history and use_think_history",
        ),
        (["{traces}", "--inter-seeds", "many"], "--inter-seeds many"),
        (["{traces}", "--inter-seeds", "5-"], "--inter-seeds 5-"),
        (["{traces}", "--allow", "email"], "write WHAT=REASON"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, tokenizer_folder: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_episode(tmp_path / "traces", "miniwob.click-dialog", 0)
    for name in ("model/config.json", "dataset/data/all/train.parquet"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("{}")
    places = {name: tmp_path / name for name in ("empty", "nowhere", "traces", "model", "dataset")}
    filled = [argument.format(**places) for argument in arguments]
    if "--tokenizer" not in filled:
        filled += ["--tokenizer", tokenizer_folder]
    before = sorted(path.name for path in tmp_path.iterdir() if path.name != "cache")
    with pytest.raises(UserError, match=says) as caught:
        run("build", "-o", tmp_path / "out", *filled)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == before


def test_a_trace_without_permission_is_set_aside_and_the_others_are_built(
    tmp_path: Path, tokenizer_folder: Path, permissions_obeyed: None
) -> None:
    """Also in the output of `collect`, whose hash is recorded."""
    for seed in range(2):
        write_episode(tmp_path / "traces", "miniwob.click-dialog", seed, name=f"run{seed}")
    manifest.write(tmp_path / "traces", "collect")
    (tmp_path / "traces/run0/step_0.pkl.gz").chmod(0)
    said = run("build", tmp_path / "traces", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    assert "2 episodes found, 2 newly read, 1 unreadable" in said
    ledger = pq.read_table(tmp_path / "out/ledger.parquet").to_pylist()
    assert [(row["source"], row["rule"], row["detail"]) for row in ledger] == [
        ("run0", "unreadable", "step_0.pkl.gz cannot be read (Permission denied)")
    ]


def test_a_foreign_folder_is_never_replaced(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path / "traces", "miniwob.click-dialog", 0)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="did not make it"):
        run("build", tmp_path / "traces", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    assert (tmp_path / "out/thesis.tex").read_text() == "mine"


def test_a_second_build_is_refused_before_it_reads_a_trace(
    tmp_path: Path, tokenizer_folder: Path, own_cache: Path
) -> None:
    write_episode(tmp_path / "traces", "miniwob.click-dialog", 0)
    with output_folder.new_folder(tmp_path / "out", "build") as first:
        with pytest.raises(UserError, match=r"out is being written by `build` on .*: wait until it ends, or choose"):
            run("build", tmp_path / "traces", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
        assert not list(own_cache.glob("parts/*/part-*"))
        manifest.write(first, "build")


def test_configs_that_a_build_takes_away_are_named(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path / "traces", "miniwob.click-dialog", 0)
    build = ("build", tmp_path / "traces", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder)
    assert "replaced" not in run(*build, "--preferences")
    said = run(*build)
    assert said.rstrip().endswith(
        "; the earlier dataset there was replaced, and with it the configs preferences and unpaired"
    )
    assert run(*build).rstrip().endswith("; the earlier dataset there was replaced")


def test_a_build_needs_neither_torch_nor_a_browser_package(tmp_path: Path, tokenizer_folder: Path) -> None:
    write_episode(tmp_path / "t", "miniwob.click-dialog", 0)
    program = (
        "import sys\n"
        "for name in ('torch', 'trl', 'mergekit', 'agentlab', 'browsergym', 'bgym', 'ray', 'playwright'):\n"
        "    sys.modules[name] = None\n"
        "from agentmerge_hub.cli import main\n"
        "main()\n"
    )
    arguments = ["build", tmp_path / "t", "-o", tmp_path / "out", "--tokenizer", tokenizer_folder]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 sample of 1 episode" in done.stdout
