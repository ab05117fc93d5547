"""`agentmerge analyse` from the outside: the page, its files, and a sentence for every wrong input."""

import csv
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simulated_results as simulated

from agentmerge_hub import manifest
from agentmerge_hub.analysis.report import writer
from agentmerge_hub.errors import UserError

METHODS = {"instruct": -3.0, "instruct_finetuned": -0.5, "agent": -0.5, "agentmerge": 0.5}
OPTIONS = writer.Options(draws=500)


def analyse(*words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "agentmerge_hub.cli", "analyse", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def read(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results made from an agent made from a dataset, with a few episodes lost."""
    root = tmp_path_factory.mktemp("study")
    for name, stage, inputs in (
        ("workarena-traces", "build", {}),
        ("tiny-base-all", "train", {"dataset": root / "workarena-traces"}),
        ("agentmerge", "merge", {"agent": root / "tiny-base-all"}),
    ):
        (root / name).mkdir()
        (root / name / "file").write_text(name)
        manifest.write(root / name, stage, inputs=inputs, started=1.0)
    rows = simulated.study(METHODS, lost=0.05, rng=5)
    return simulated.write(root / "results", rows, {"agentmerge": root / "agentmerge"})


@pytest.fixture(scope="module")
def made(results: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("out") / "report"
    run = analyse(results, "-o", out, "--draws", 500)
    assert run.returncode == 0, run.stderr
    return out, run.stdout


def test_the_terminal_shows_the_table_and_ends_with_the_path(made: tuple[Path, str]) -> None:
    out, output = made
    assert output.splitlines()[-1] == str(out / "report.html")
    assert "AgentMerge" in output and "inter-task" in output and "±" in output


def test_means_are_those_of_finished_episodes_and_the_lost_are_counted(made: tuple[Path, str], results: Path) -> None:
    episodes = pq.read_table(results / "results.parquet").to_pylist()
    for row in read(made[0] / "table1.csv"):
        mine = [e for e in episodes if (e["method"], e["split"]) == (row["method"], row["split"])]
        rewards = [e["reward"] for e in mine if e["status"] == "done"]
        assert float(row["reward"]) == pytest.approx(sum(rewards) / len(rewards))
        assert float(row["reward_if_unfinished_failed"]) == pytest.approx(sum(rewards) / len(mine))
        assert [int(row[key]) for key in ("n", "missing", "crashed")] == [
            sum(e["status"] == status for e in mine) for status in ("done", "missing", "crashed")
        ]


def test_the_page_stands_alone_and_shows_the_lineage(made: tuple[Path, str]) -> None:
    page = (made[0] / "report.html").read_text()
    assert not (made[0] / "traces").exists()  # the results have no traces
    assert "<script" not in page and "http://" not in page.replace("http-equiv", "") and "https://" not in page
    for name in ("workarena-traces", "tiny-base-all", "build", "train", "merge"):
        assert name in page
    assert manifest.verify(made[0]) == []


def test_the_printed_command_makes_the_same_tables(made: tuple[Path, str], tmp_path: Path) -> None:
    command = manifest.read(made[0])["config"]["command"].split()
    again = tmp_path / "again"
    command[command.index("-o") + 1] = str(again)
    assert command[0] == "agentmerge"
    assert analyse(*command[2:]).returncode == 0
    for path in made[0].glob("*.csv"):
        if path.name != "stages.csv":
            assert (again / path.name).read_text() == path.read_text()


def test_tables_whose_text_is_wider_than_a_screen_of_768_px_can_be_shown_as_lists(made: tuple[Path, str]) -> None:
    page = (made[0] / "report.html").read_text()
    wide = {text.partition("</caption>")[0][:30] for text in page.split('<table class="many">\n<caption>')[1:]}
    assert "The same differences with the " in wide and "Every folder once, in the orde" not in wide


def test_every_table_is_in_both_formats(made: tuple[Path, str]) -> None:
    for path in made[0].glob("*.csv"):
        assert pq.read_table(path.with_suffix(".parquet")).num_rows == len(read(path))


def test_names_from_outside_are_escaped(tmp_path: Path) -> None:
    rows = simulated.study({"<script>alert(1)</script>": 0.0, "agentmerge": 0.0}, splits={"cross_task": 3})
    writer.write([simulated.write(tmp_path / "results", rows)], tmp_path / "report", OPTIONS)
    assert "<script" not in (tmp_path / "report" / "report.html").read_text()


def wrong_results(folder: Path, case: str) -> tuple[list[Path], writer.Options]:
    options = OPTIONS
    rows = simulated.study(METHODS, splits={"cross_task": 3}, seeds=2)
    if case == "mixed":
        rows += simulated.study(METHODS, splits={"cross_task": 3}, seeds=2, benchmark="workarena_l1")
    if case == "lost":
        rows = [{**row, "status": "crashed", "reward": None, "error_class": "TimeoutError"} for row in rows]
    if case == "status":
        rows[0]["status"] = "dnoe"
    if case == "reward":
        rows[0]["reward"] = float("nan")
    if case == "method":
        options = writer.Options(method="agentmerged")
    if case == "task":
        options = writer.Options(validation_tasks=("miniwob.no-such-task",))
    simulated.write(folder, [] if case == "empty" else rows)
    if case == "broken":
        (folder / "results.parquet").write_bytes(b"PAR1 and nothing else")
    if case == "column":
        table = pq.read_table(folder / "results.parquet").drop_columns(["reward"])
        pq.write_table(pa.table(table), folder / "results.parquet")
    return [folder / "none" if case == "absent" else folder], options


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("absent", "there is no folder"),
        ("broken", "is not readable Parquet"),
        ("column", "has no column 'reward'"),
        ("empty", "has no row"),
        ("mixed", "mix miniwob and workarena_l1.*--benchmark"),
        ("lost", "none of 24 episodes was finished.*TimeoutError"),
        ("status", "status 'dnoe'"),
        ("reward", "its reward is None"),
        ("method", "'agentmerged' is not in the results"),
        ("task", "'miniwob.no-such-task', of which there is no episode"),
    ],
)
def test_wrong_results_are_refused_in_a_sentence(tmp_path: Path, case: str, says: str) -> None:
    folders, options = wrong_results(tmp_path / "results", case)
    with pytest.raises(UserError, match=says):
        writer.write(folders, tmp_path / "report", options)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (simulated.study(METHODS, splits={"cross_task": 1}), "one task"),
        (simulated.study(dict.fromkeys(METHODS, -50.0)), ("No method solved any of its", ">no spread<", "No spread: all rewards are equal")),
        (simulated.study({"agentmerge": 0.0}), "nothing to compare: the results hold one method only"),
        (simulated.study(METHODS, splits={"validation": 3}), "nothing to compare: every episode is of the split validation"),
        (
            simulated.study({"agentmerge": 0.0}, agent="basic") + simulated.study({"instruct": 0.0}, agent="advanced"),
            "nothing to compare: no other method was evaluated with the agent of AgentMerge",
        ),
        (simulated.study({"agentmerge": 0.0, "instruct": 0.4}, splits={"train": 3}), "on the same tasks (train)"),
        (
            simulated.study({"agentmerge": 0.0}, splits={"cross_task": 3}, learning_rate=1e-5)
            + simulated.study({"instruct_finetuned": 0.0}, splits={"cross_task": 3}, learning_rate=5e-6),
            "(lr 1e-5 against 5e-6)",
        ),
        (simulated.study(METHODS, seeds=1), "p "),
        (
            simulated.study({"agentmerge": 0.0}) + [{**r, "seed": r["seed"] + 50} for r in simulated.study({"instruct": 0.0})],
            "share no finished (task, seed)",
        ),
        (simulated.study({"agent": 0.0, "instruct": 0.0}), "There is no method"),
    ],
    ids=["one task", "no success", "one method", "validation only", "two agents", "another split", "two rates", "one seed", "no pair", "no AgentMerge"],
)  # fmt: skip
def test_thin_results_are_reported_plainly(tmp_path: Path, rows: list[dict], says: str | tuple[str, ...]) -> None:
    writer.write([simulated.write(tmp_path / "results", rows)], tmp_path / "report", OPTIONS)
    page = (tmp_path / "report" / "report.html").read_text()
    for text in (says,) if isinstance(says, str) else says:
        assert text in page


def test_settings_that_some_rows_lack_are_no_obstacle(tmp_path: Path) -> None:
    rows = simulated.study({"instruct-fine-tuned": 0.0, "ties": 0.0}, seeds=2, agent=None)
    for weight, run, seen in ((None, None, None), (0.3, 1, 0), (0.7, None, 5120)):
        rows += simulated.study(
            {"agentmerge": 0.0}, seeds=2, merge_lambda=weight, run_seed=run, samples_seen=seen, agent=None
        )
    rows += simulated.study({"agentmerge": 0.0}, seeds=2, splits={"validation": 1}, merge_lambda=0.7, answers=None)
    rows += [{**row, "split": None, "seed": row["seed"] + 9, "run_seed": 3} for row in rows[:9]]
    writer.write([simulated.write(tmp_path / "results", rows)], tmp_path / "report", OPTIONS)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "every λ is shown" in page and "unsplit" in page and "None" not in page.replace("None of the", "")


def test_a_results_folder_given_twice_counts_once(tmp_path: Path) -> None:
    rows = simulated.study(METHODS, splits={"cross_task": 3})
    first, second = (simulated.write(tmp_path / name, rows) for name in ("one", "two"))
    once = writer.write([first], tmp_path / "report1", OPTIONS)
    twice = writer.write([first, second], tmp_path / "report2", OPTIONS)
    assert once == twice
    assert "already describes" in (tmp_path / "report2" / "report.html").read_text()


def test_results_that_differ_from_their_manifest_are_used_with_a_note(tmp_path: Path) -> None:
    rows = simulated.study(METHODS, splits={"cross_task": 3})
    changed = simulated.write(tmp_path / "changed", rows)
    pq.write_table(pq.read_table(changed / "results.parquet").slice(4), changed / "results.parquet")
    unfinished = simulated.write(tmp_path / "unfinished", simulated.study(METHODS, splits={"inter_task": 3}))
    (unfinished / manifest.NAME).unlink()
    writer.write([changed, unfinished], tmp_path / "report", OPTIONS)
    page = (tmp_path / "report" / "report.html").read_text()
    assert "it was changed after the study" in page and "its study was not finished" in page
