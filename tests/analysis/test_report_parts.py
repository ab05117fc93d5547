"""The report's parts: figures along training, λ, error analysis with trace pages, forgetting, likelihood, planning."""

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simulated_results as simulated
from click.testing import CliRunner

from agentmerge_hub.analysis import error_analysis, forgetting, likelihood
from agentmerge_hub.analysis.command import analyse, plan
from agentmerge_hub.analysis.report import trace_pages, writer
from agentmerge_hub.errors import UserError

SPLITS = {"inter_task": 3, "cross_task": 3, "validation": 2}
EPISODE = "miniwob-agentlab/2025-01-22_11-03-29_GenericAgent-gpt-4o-mini_on_miniwob.click-checkboxes_7"


class Links(HTMLParser):
    """Every address and every id of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.addresses += [found[key] for key in ("href", "src", "srcset") if found.get(key)]
        self.ids |= {found["id"]} if found.get("id") else set()


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a sweep: two learning rates, three checkpoints, λ at the last, likelihoods, one copied example."""
    root = tmp_path_factory.mktemp("sweep")
    rows = simulated.study({"instruct": -3.0}, splits=SPLITS, seeds=3)
    for rate in (1e-6, 5e-6):
        for seen in (5120, 10240, 15360):
            setting = {"splits": SPLITS, "seeds": 3, "learning_rate": rate, "samples_seen": seen, "luck": seen}
            copies = {"copied_example_actions": 2, "copied_example_first_step": True} if seen > 5120 else {}
            rows += simulated.study({"instruct_finetuned": -1.0}, **setting, **copies, model=f"tuned-{rate}")
            for weight in (0.3, 0.5) if seen == 15360 else (0.5,):
                rows += simulated.study({"agentmerge": 0.0}, **setting, merge_lambda=weight)
    scored = [
        {
            "split": split,
            "sample_id": str(i),
            "task": f"t{i}",
            "samples_seen": seen,
            "mean_logprob": -5120 / seen - i / 10,
        }
        for seen in (5120, 10240)
        for split in ("inter_task", "cross_task")
        for i in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(scored), root / "tuned.parquet")
    options = writer.Options(draws=200, likelihood=(f"tuned-1e-06={root / 'tuned.parquet'}",))
    writer.write([simulated.write(root / "results", rows)], root / "report", options)
    return root / "report"


def test_a_sweep_is_drawn_along_training_and_over_lambda(sweep: Path) -> None:
    for name in (
        "curves_instruct_finetuned_advanced",
        "merged_along_training_advanced",
        "lambda",
        "behaviour_1",
        "scores",
    ):
        assert ElementTree.parse(sweep / f"{name}.svg").getroot().tag.endswith("svg")
        assert (sweep / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f'id="figure-{name}"' in (sweep / "report.html").read_text()


def test_points_of_a_line_are_scored_on_the_same_episodes(tmp_path: Path) -> None:
    setting = {"method": "agentmerge", "learning_rate": 1e-6, "samples_seen": 20}
    rewards = {0.3: (1.0,), 0.5: (1.0, 0.0), 0.7: (0.0, 0.0)}
    rows = [
        simulated.episode(**setting, merge_lambda=weight, seed=seed, reward=reward)
        for weight, scored in rewards.items()
        for seed, reward in enumerate(scored)
    ]
    rows += [simulated.episode(seed=seed, reward=0.0, learning_rate=1e-4, samples_seen=9) for seed in range(3)]
    rows += [simulated.episode(method="agent", learning_rate=1e-6, samples_seen=20, seed=1, reward=1.0)]
    early = setting | {"samples_seen": 10, "merge_lambda": 0.5}
    rows += [simulated.episode(**early, seed=1, reward=1.0)]
    writer.write([simulated.write(tmp_path / "results", rows)], tmp_path / "report", writer.Options(draws=200))
    curve = csv_rows(tmp_path / "report" / "lambda_curve.csv")
    assert [(float(row["merge_lambda"]), float(row["reward"]), int(row["n"])) for row in curve] == [
        (0.0, 0.0, 1), (0.3, 1.0, 1), (0.5, 1.0, 1), (0.7, 0.0, 1),
    ]  # fmt: skip
    along = csv_rows(tmp_path / "report" / "along_training.csv")
    assert [(row["method"], row["samples_seen"], float(row["reward"])) for row in along] == [
        ("agentmerge", "10", 1.0), ("agentmerge", "20", 0.0), ("instruct", "", 0.0),
    ]  # fmt: skip


def csv_rows(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_figure_has_a_dark_twin_in_other_colours(sweep: Path) -> None:
    page = (sweep / "report.html").read_text()
    assert page.count('media="(prefers-color-scheme: dark)"') == page.count("<figure")
    light, dark = (
        [a for a in Links(sweep / "report.html").addresses if a.startswith("data:image/svg")][place] for place in (1, 0)
    )
    assert light != dark and len(light) == len(dark)
    assert "geometric-mean token probability" in page


def test_all_links_lead_somewhere(sweep: Path) -> None:
    for page in (sweep / "report.html", *sweep.glob("episodes/*.html")):
        for address in Links(page).addresses:
            name, _, place = address.partition("#")
            if address.startswith("data:"):
                continue
            assert (page.parent / name).is_file(), f"{page.name} → {address}"
            assert not place or place in Links(page.parent / name).ids


def test_rates_of_copied_examples_are_counted_over_answers_and_over_episodes(sweep: Path) -> None:
    rows = pq.read_table(sweep / "behaviour.parquet").to_pylist()
    tuned = {r["samples_seen"]: r for r in rows if r["method"] == "instruct_finetuned" and r["split"] == "cross_task"}
    assert tuned[5120]["copied"] == 0
    assert tuned[15360]["copied"] == pytest.approx(2 / 3)
    assert tuned[15360]["copied_first"] == 1
    assert tuned[15360]["loop"] is None


def test_the_error_of_a_rate_is_the_spread_it_has_over_studies() -> None:
    random = np.random.default_rng(0)
    measure = next(m for m in error_analysis.MEASURES if m.name == "copied")
    rates, errors = [], []
    for _ in range(800):
        answers = random.integers(1, 9, 40)
        copied = random.binomial(answers, random.beta(1, 3, 40))
        rate, error = error_analysis._rate(
            [{"copied_example_actions": c, "answers": n} for c, n in zip(copied, answers)], measure
        )
        rates.append(rate)
        errors.append(error)
    assert np.mean(np.square(errors)) == pytest.approx(np.var(rates), rel=0.12)


def test_the_page_says_what_goes_along_with_the_difference(sweep: Path) -> None:
    page = (sweep / "report.html").read_text()
    assert "example copied 0% against 67%" in page and "copied at step 0 0% against 100%" in page


def test_loops_are_runs_of_the_same_action() -> None:
    assert error_analysis.longest_repeat([]) == 0
    assert error_analysis.longest_repeat([None, None, None]) == 0
    assert error_analysis.longest_repeat(["a", "a", None, "a", "b", "b", "b"]) == 3


def test_a_trace_becomes_a_readable_page(real_traces: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(real_traces / EPISODE, results / "traces" / "one")
    (results / "traces" / "one" / "screenshot_step_0.png").write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    (results / "traces" / "one" / "screenshot_step_1.png").write_bytes(b"<svg onload=alert(1)>")
    rows = simulated.study({"agentmerge": 0.0, "instruct": 0.0}, splits={"cross_task": 2}, seeds=2)
    rows[0]["trace"] = "traces/one"
    rows[1]["trace"] = "../../outside"
    rows[2]["trace"] = "traces/gone"
    simulated.write(results, rows)
    (tmp_path / "outside").mkdir()
    writer.write([results], tmp_path / "report", writer.Options(draws=200))
    (page,) = (tmp_path / "report" / "traces").glob("*.html")
    text = page.read_text()
    assert "miniwob.cross-task-0" in text and "Select" in text and "click(" in text
    assert "The page as the agent saw it" in text
    shown = [address for address in Links(page).addresses if address.endswith(".png")]
    assert {(page.parent / address).is_file() for address in shown} == {True}
    assert len(list(page.parent.rglob("*.png"))) == 1
    listed = "".join(path.read_text() for path in (tmp_path / "report" / "episodes").glob("*.html"))
    assert f"../traces/{page.name}" in listed
    assert pq.read_table(tmp_path / "report" / "behaviour.parquet").column("loop").to_pylist().count(None) == 1


def test_pages_hold_no_secret_of_the_trace(real_traces: Path, tmp_path: Path) -> None:
    name = "2025-01-02_12-23-54_DemoAgentArgs_on_workarena.servicenow.order-development-laptop-p-c_5"
    results = tmp_path / "results"
    shutil.copytree(real_traces / "workarena" / name, results / "traces" / "one")
    (tmp_path / "report").mkdir()
    pages = trace_pages.write(tmp_path / "report", [simulated.episode(trace="traces/one", folder=results)], most=1)
    (page,) = (tmp_path / "report" / path for path in pages.names.values())
    assert "Development" in page.read_text()
    assert "service-now.com" not in page.read_text()


def test_no_more_trace_pages_than_asked_for(real_traces: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(real_traces / EPISODE, results / "traces" / "one")
    rows = [simulated.episode(method=m, seed=s, trace="traces/one", folder=results) for m in "ab" for s in range(2)]
    for number, row in enumerate(rows):
        shutil.copytree(real_traces / EPISODE, results / "traces" / str(number))
        row["trace"] = f"traces/{number}"
    (tmp_path / "report").mkdir()
    pages = trace_pages.write(tmp_path / "report", rows, most=3)
    assert (len(pages.names), pages.left_out, pages.unreadable) == (3, 1, 0)
    assert all("longest_repeat" in row for row in rows)


def lm_eval(folder: Path, **results: dict) -> Path:
    folder.mkdir(parents=True)
    (folder / "results_2026-01-01T00-00-00.json").write_text(json.dumps({"results": results, "n-samples": {}}))
    return folder


def test_forgetting_is_the_change_from_the_first_model(tmp_path: Path) -> None:
    before = {
        "alias": "arc_easy",
        "acc,none": 0.6,
        "acc_stderr,none": 0.03,
        "acc_norm,none": 0.5,
        "acc_norm_stderr,none": "N/A",
    }
    after = before | {"acc,none": 0.5, "acc_stderr,none": 0.04}
    scored = {
        "instruct": lm_eval(tmp_path / "a" / "model", arc_easy=before).parent,
        "tuned": lm_eval(tmp_path / "b", arc_easy=after),
    }
    rows = {(row["metric"], row["model"]): row for row in forgetting.table(scored)}
    assert rows["acc", "tuned"]["change"] == pytest.approx(-0.1)
    assert rows["acc", "tuned"]["change_se"] == pytest.approx(0.05)
    assert rows["acc_norm", "tuned"]["change_se"] is None
    assert "change" not in rows["acc", "instruct"]


def test_likelihood_is_the_geometric_mean_of_token_probabilities(tmp_path: Path) -> None:
    rows = [
        {"split": "cross_task", "sample_id": str(i), "mean_logprob": np.log(p), "think_logprob": np.log(p) / 2, "greedy_match": i == 0}
        for i, p in enumerate((0.2, 0.8))
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "agent-80.parquet")
    episodes = [simulated.episode(model="agent-80", method="agent", learning_rate=1e-6, samples_seen=80)]
    (row,) = likelihood.summarise((str(tmp_path / "agent-80.parquet"),), episodes)
    assert (row["method"], row["learning_rate"], row["samples_seen"], row["samples"]) == ("agent", 1e-6, 80, 2)
    assert row["likelihood"] == pytest.approx(0.4)
    assert row["likelihood_low"] == pytest.approx(0.4 * np.exp(-np.log(4) / 2))
    assert row["think_logprob"] == pytest.approx(np.log(0.4) / 2)
    assert row["greedy_match"] == 0.5


def test_likelihood_reads_what_the_verb_of_that_name_writes() -> None:
    written = pytest.importorskip("agentmerge_hub.training.likelihood.results").SCHEMA
    assert set(likelihood.NEEDED) < set(written.names)
    assert set(likelihood.SHARES) < set(written.names)
    assert "task" in written.names and "samples_seen" in written.names and "think_logprob" in written.names


def test_wrong_side_inputs_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "results_1.json").write_text('{"results": 3}')
    known = [simulated.episode(model="m")]
    pq.write_table(pa.table({"split": ["cross_task"]}), tmp_path / "no_column.parquet")
    for call, says in (
        (lambda: forgetting.parse(("instruct",)), "NAME=PATH"),
        (lambda: forgetting.table({"a": tmp_path / "empty"}), "has no results_"),
        (lambda: forgetting.table({"a": tmp_path / "results_1.json"}), "is not what lm-evaluation-harness writes"),
        (lambda: likelihood.summarise((f"m={tmp_path / 'none'}",), known), "no file"),
        (lambda: likelihood.summarise((f"m={tmp_path / 'no_column.parquet'}",), known), "has no column 'sample_id'"),
        (lambda: likelihood.summarise((f"m={tmp_path / 'results_1.json'}",), known), "is not readable Parquet"),
        (lambda: likelihood.summarise(("n=x",), known), "the results hold m"),
    ):
        with pytest.raises(UserError, match=says):
            call()


def test_plan_says_how_many_episodes_settle_the_papers_difference() -> None:
    said = CliRunner().invoke(plan, ["--rate", "0.136", "--difference", "0.042"]).output
    assert "1,177 episodes" in said and "443 pairs" in said
    for words in (["--rate", "0.99", "--difference", "0.05"], ["--difference", "0"], ["--power", "1"]):
        with pytest.raises(UserError):
            CliRunner().invoke(plan, words, catch_exceptions=False)


def test_help_names_every_option() -> None:
    said = CliRunner().invoke(analyse, ["--help"]).output
    for option in ("--validation-task", "--likelihood", "--lm-eval", "--traces", "--draws", "--seed", "--benchmark"):
        assert option in said
